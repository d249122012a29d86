-- Begins RECOVER: takes {tag}:recovery, a nonce that expires, and says which process that was.
-- ARGV: the nonce, ms that it lasts, the installation, an epoch to be replaced though it is whole ('' for none).
local run_id, replid, role = process()
if role ~= 'master' then return { 'replica' } end
local epoch = redis.call('HMGET', P .. 'epoch', 'nonce', 'run_id', 'replid', 'installation')
if epoch[4] and epoch[4] ~= ARGV[3] then return { 'foreign' } end
if epoch[1] and epoch[2] == run_id and epoch[3] == replid and epoch[1] ~= ARGV[4] then return { 'whole' } end
if not redis.call('SET', P .. 'recovery', ARGV[1], 'NX', 'PX', ARGV[2]) then return { 'held' } end
return { 'ok', run_id, replid }
