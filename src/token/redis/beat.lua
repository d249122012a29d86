-- gp_beat: registers the member and answers in any case: whole (1) or not, epoch, its installation, seq, time (s, us),
-- the log's last id, the nonce of a recovery under way, whether the member was listed before (1) or not, how many members there are,
-- whether the epoch is settled (1) or not.
-- ARGV: the member's id, its staleness bound in ms, its longest allow_cached_for in ms, an epoch that it knows to be settled ('' for none).
local run_id, replid, role = process()
local time = redis.call('TIME')
local listed = redis.call('HEXISTS', P .. 'members', ARGV[1])
redis.call('HSET', P .. 'members', ARGV[1], time[1] .. '.' .. time[2] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
local epoch = redis.call('HMGET', P .. 'epoch', 'nonce', 'run_id', 'replid', 'installation', 'settled')
local whole = role == 'master' and epoch[1] and epoch[2] == run_id and epoch[3] == replid
local settled = epoch[5] == '1'
if whole and not settled and epoch[1] == ARGV[4] then
  redis.call('HSET', P .. 'epoch', 'settled', '1')
  settled = true
end
local last = redis.call('XREVRANGE', P .. 'log', '+', '-', 'COUNT', 1)
return {
  whole and 1 or 0, epoch[1] or '', epoch[4] or '', redis.call('GET', P .. 'seq') or '0', time[1], time[2],
  last[1] and last[1][1] or '0-0', redis.call('GET', P .. 'recovery') or '', listed, #redis.call('HKEYS', P .. 'members'),
  settled and 1 or 0,
}
