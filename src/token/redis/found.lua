-- Founds the epoch ARGV[5] of the installation ARGV[6], only if process and lock are what they were when RECOVER began.
-- ARGV[7] is 1 where it is settled from the beginning, else 0.
if not authorised() then return { 'epoch' } end
redis.call('DEL', P .. 'epoch')
redis.call('HSET', P .. 'epoch', 'nonce', ARGV[5], 'run_id', ARGV[3], 'replid', ARGV[4], 'installation', ARGV[6], 'settled', ARGV[7])
redis.call('DEL', P .. 'recovery')
return { 'ok' }
