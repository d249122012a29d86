-- The fill of a check: everything one credential hangs on, in one go.
-- KEYS[1] {tag}:epoch; ARGV: the epoch held, kind (t token, k key, l session, d denials), id, the key a token names, most subjects.
-- Of denials two buckets are asked for, in the places of id and key; both must be there.
local kind, id, token, ends = ARGV[2], ARGV[3], false, false
if kind == 'd' then
  local one, other = redis.call('HGET', P .. 'd:' .. id, 'c'), redis.call('HGET', P .. 'd:' .. ARGV[4], 'c')
  if not one or not other then return { 'none' } end
  return { 'ok', one, other }
end
if kind == 't' then
  local name = P .. 't:' .. id
  local had = redis.call('HMGET', name, 'c', 'k')
  -- a token that names another key than its record is refused
  if not had[1] or had[2] ~= ARGV[4] then return { 'none' } end
  token, ends, kind, id = had[1], redis.call('PEXPIRETIME', name), 'k', had[2]
end
local own = redis.call('HMGET', P .. kind .. ':' .. id, 'c', 'u')
if not own[1] and not token then return { 'none' } end
local chain, policies, seen = {}, {}, {}
local up = own[2]
while up and up ~= '' and #chain < 2 * tonumber(ARGV[5]) do
  local subject = redis.call('HMGET', P .. 's:' .. up, 'c', 'u', 'p')
  if not subject[1] then break end
  chain[#chain + 1] = up
  chain[#chain + 1] = subject[1]
  for policy in string.gmatch(subject[3], '%S+') do
    if not seen[policy] then
      seen[policy] = true
      local content = redis.call('HGET', P .. 'p:' .. policy, 'c')
      if content then
        policies[#policies + 1] = policy
        policies[#policies + 1] = content
      end
    end
  end
  up = subject[2]
end
return { 'ok', token, ends, own[1], chain, policies }
