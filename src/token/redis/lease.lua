-- Leases of rates. KEYS[1] is {tag}:epoch (not asked for: a bucket that is lost is full again, which lets one burst more pass at most);
-- ARGV: the bucket's name, how many units come in how many ms, how many fit in, and how many are wanted (0: looked at; below: given back).
-- A bucket is one number, the ms at which it will be full; it expires then. Returns 'ok', how many units are leased (or there, where none is
-- wanted), and in how many ms there is one more.
local P = string.sub(KEYS[1], 1, -6)
local bucket = P .. 'rate:' .. ARGV[1]
local interval, burst, wanted = tonumber(ARGV[3]) / tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full = tonumber(redis.call('GET', bucket) or now)
local units, after = wanted, 0
if wanted >= 0 then
  full = math.min(math.max(full, now), now + burst * interval)
  local there = burst - (full - now) / interval
  local whole = math.max(0, math.floor(there + 1e-6))
  units = math.min(wanted, whole)
  after = math.ceil(math.max(0, (1 - (there - units)) * interval))
  if wanted == 0 then return { 'ok', whole, after } end
end
full = full + units * interval
if full > now then
  redis.call('SET', bucket, string.format('%.4f', full), 'PXAT', math.ceil(full) + 1)
else
  redis.call('DEL', bucket)
end
return { 'ok', units, after }
