-- Who beats: ARGV[1..5] as in common.lua, then pairs of a member's id and its heartbeat. Each is removed if that still is
-- its heartbeat, or whatever its heartbeat where '' is given. Returns those left.
if not authorised() then return { 'epoch' } end
local members = P .. 'members'
for i = 6, #ARGV, 2 do
  if ARGV[i + 1] == '' or redis.call('HGET', members, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', members, ARGV[i])
    redis.call('HDEL', P .. 'ack', ARGV[i])
  end
end
return { 'ok', redis.call('HGETALL', members) }
