-- Live tokens of one key that came with a copy of another database, and the records they hang on.
-- ARGV[6] ms that records are kept, [7] how many records; then the records, the time (Redis's, ms) after which nothing may be
-- done any more, length of the log, the key id; then of each token: id, content, cap, idle end (in
-- Redis's time), what it is (format and scopes), its signer. One that is there already stays as it is.
-- LOGS each like an end: whoever asked for it before has noted that it is not there, and must hear of it.
-- ABORTS, as MINT does, where Redis holds a higher version of a record.
local epoch = authorised()
if not epoch then return { 'epoch' } end
local records = tonumber(ARGV[7])
local at = 8 + 7 * records
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[at]) then return { 'late' } end
for i = 0, records - 1 do
  local of = 8 + 7 * i
  if version(P .. ARGV[of] .. ':' .. ARGV[of + 1]) > tonumber(ARGV[of + 2]) then return { 'newer' } end
end
for i = 0, records - 1 do put(8 + 7 * i, ARGV[6]) end
local key = ARGV[at + 2]
local of_key = P .. 'm:' .. key
for i = at + 3, #ARGV, 6 do
  local token = P .. 't:' .. ARGV[i]
  if redis.call('EXISTS', token) == 0 then
    redis.call('HSET', token, 'c', ARGV[i + 1], 'k', key)
    redis.call('PEXPIREAT', token, ARGV[i + 3])
    redis.call('HSET', of_key, ARGV[i], ARGV[i + 2] .. '\n' .. ARGV[i + 5] .. '\n' .. ARGV[i + 4])
    local n = redis.call('INCR', P .. 'seq')
    redis.call('XADD', P .. 'log', 'MAXLEN', '~', ARGV[at + 1], '*', 'epoch', epoch, 'n', n, 'kind', 't', 'id', ARGV[i])
  end
end
keep(of_key, ARGV[6])
return { 'ok' }
