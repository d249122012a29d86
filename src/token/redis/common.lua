-- Common to every script that writes. KEYS[1] is {tag}:epoch; every other name is made from it, so all
-- carry the same hash tag.
local P = string.sub(KEYS[1], 1, -6)

-- What INFO says of this very process: run_id, master_replid, role.
local function process()
  local server, replication = redis.call('INFO', 'server'), redis.call('INFO', 'replication')
  return string.match(server, 'run_id:(%w+)'), string.match(replication, 'master_replid:(%w+)'),
    string.match(replication, 'role:(%w+)')
end

-- WHOLE (COHERENCE 3). ARGV[1..5]: 'epoch', the epoch held, '', '', ''; or 'recovery', the lock's nonce,
-- run_id and master_replid when it was taken, the epoch to come. Returns the epoch to log under, or nothing:
-- then the script must do nothing and say 'epoch'. Data rolled back or copied is never whole, so it takes no write.
local function authorised()
  local run_id, replid, role = process()
  if role ~= 'master' then return nil end
  if ARGV[1] == 'recovery' then
    if redis.call('GET', P .. 'recovery') == ARGV[2] and run_id == ARGV[3] and replid == ARGV[4] then return ARGV[5] end
    return nil
  end
  local epoch = redis.call('HMGET', P .. 'epoch', 'nonce', 'run_id', 'replid')
  if epoch[1] == ARGV[2] and epoch[2] == run_id and epoch[3] == replid then return ARGV[2] end
  return nil
end

-- Records live as long as any token minted just now can, so none outlives what it hangs on.
local function keep(key, ms)
  if redis.call('PTTL', key) < tonumber(ms) then redis.call('PEXPIRE', key, ms) end
end

-- A record is seven arguments from `at`: kind (k key, l session, s subject, p policy, d denials), id, version, content,
-- ended, the subject above, its policies. Only a higher version is written; an absent record is version 0.
local function version(key)
  return tonumber(redis.call('HGET', key, 'v') or 0)
end
local function put(at, ms)
  local key = P .. ARGV[at] .. ':' .. ARGV[at + 1]
  if tonumber(ARGV[at + 2]) > version(key) then
    redis.call('HSET', key, 'v', ARGV[at + 2], 'c', ARGV[at + 3], 'e', ARGV[at + 4], 'u', ARGV[at + 5], 'p', ARGV[at + 6])
  end
  keep(key, ms)
end
