#!lua flags=no-writes
-- When tokens end if not used again: KEYS[1] {tag}:epoch; ARGV: the epoch held, then token ids. Below zero: not there.
local P = string.sub(KEYS[1], 1, -6)
local replication = redis.call('INFO', 'replication')
local epoch = redis.call('HMGET', KEYS[1], 'nonce', 'replid')
if epoch[1] ~= ARGV[1] or string.match(replication, 'role:(%w+)') ~= 'master'
  or string.match(replication, 'master_replid:(%w+)') ~= epoch[2] then
  return { 'epoch' }
end
local ends = { 'ok' }
for i = 2, #ARGV do ends[i] = redis.call('PEXPIRETIME', P .. 't:' .. ARGV[i]) end
return ends
