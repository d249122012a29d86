-- Common to the scripts that only read. KEYS[1] is {tag}:epoch, ARGV[1] the epoch held: where it is not whole, or another
-- one, they answer 'epoch' and nothing else.
-- Role and master_replid are enough to know that an epoch is whole: the latter changes at every restart and promotion.
local P = string.sub(KEYS[1], 1, -6)
local replication = redis.call('INFO', 'replication')
local epoch = redis.call('HMGET', KEYS[1], 'nonce', 'replid')
if epoch[1] ~= ARGV[1] or string.match(replication, 'role:(%w+)') ~= 'master'
  or string.match(replication, 'master_replid:(%w+)') ~= epoch[2] then
  return { 'epoch' }
end
