-- gp_mint: writes the records that a credential hangs on, then, where one is asked for, its token.
-- ARGV[6] ms that records are kept, [7] how many records; then the token, if any:
-- id, key id, content, cap, idle end (in Redis's time, as is), now, least cap to be slid, what it is (format and scopes),
-- most live ones, ms by which Redis's time is ahead of the caps' and now, its signer, other signers.
-- ABORTS where Redis holds a higher version than the database said: what was read is old, an end may have come since.
if not authorised() then return { 'epoch' } end
local records = tonumber(ARGV[7])
for i = 0, records - 1 do
  local at = 8 + 7 * i
  if version(P .. ARGV[at] .. ':' .. ARGV[at + 1]) > tonumber(ARGV[at + 2]) then return { 'newer' } end
end
for i = 0, records - 1 do put(8 + 7 * i, ARGV[6]) end
local at = 8 + 7 * records
if not ARGV[at] then return { 'ok' } end

local id, key, content, cap, ends, what = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 7]
local now, least, most = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 8])
local offset = tonumber(ARGV[at + 9])
local signers = {}
for i = at + 10, #ARGV do signers[ARGV[i]] = true end

-- {tag}:m:<key>: every token of the key that may be live -> its cap, signer, and what it is
local of_key, live, found = P .. 'm:' .. key, 0, nil
local had = redis.call('HGETALL', of_key)
for i = 1, #had, 2 do
  local its_cap, signer, its_what = string.match(had[i + 1], '^(%d+)\n([^\n]*)\n(.*)$')
  if redis.call('EXISTS', P .. 't:' .. had[i]) == 0 then
    redis.call('HDEL', of_key, had[i])
  elseif tonumber(its_cap) > now then
    live = live + 1
    if its_what == what and signers[signer] and tonumber(its_cap) >= least then found = { had[i], its_cap } end
  end
end
if found then
  local token = P .. 't:' .. found[1]
  local to = math.min(tonumber(ends), tonumber(found[2]) + offset)
  redis.call('PEXPIREAT', token, string.format('%.0f', to), 'GT')
  keep(of_key, ARGV[6])
  return { 'live', found[1], redis.call('HGET', token, 'c'), redis.call('PEXPIRETIME', token) }
end
if live >= most then return { 'many' } end
-- a token id is written once: whoever tries again comes with another
local token = P .. 't:' .. id
redis.call('HSET', token, 'c', content, 'k', key)
redis.call('PEXPIREAT', token, ends)
redis.call('HSET', of_key, id, cap .. '\n' .. ARGV[at + 10] .. '\n' .. what)
keep(of_key, ARGV[6])
return { 'new', id, content, tonumber(ends) }
