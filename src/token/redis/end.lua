-- gp_end: applies ends and changes that the database has committed; also under memory pressure, so allow-oom.
-- ARGV[6] ms that records are kept, [7] length of the log, [8] how many records follow that are told of; then as
-- many that only come along, because those hang on them. Kind t is a token: it is deleted. Kind i tells of imported
-- keys, whose records are brought when they are asked for: it is only logged.
-- ALWAYS counts and logs, also where a mint brought that version before: who cached what came before must hear of it.
local epoch = authorised()
if not epoch then return { 'epoch' } end
local told, n = tonumber(ARGV[8]), 0
for i = 0, (#ARGV - 8) / 7 - 1 do
  local at = 9 + 7 * i
  if ARGV[at] == 't' then
    redis.call('DEL', P .. 't:' .. ARGV[at + 1])
  elseif ARGV[at] ~= 'i' then
    put(at, ARGV[6])
  end
  if i < told then
    n = redis.call('INCR', P .. 'seq')
    redis.call('XADD', P .. 'log', 'MAXLEN', '~', ARGV[7], '*', 'epoch', epoch, 'n', n, 'kind', ARGV[at], 'id', ARGV[at + 1])
  end
end
return { 'ok', n, redis.call('HGETALL', P .. 'members') }
