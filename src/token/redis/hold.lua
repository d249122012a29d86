-- Keeps the recovery lock for ARGV[6] more ms, or lets go of it (0); only its holder can, only in the same process.
if not authorised() then return { 'epoch' } end
if ARGV[6] == '0' then redis.call('DEL', P .. 'recovery') else redis.call('PEXPIRE', P .. 'recovery', ARGV[6]) end
return { 'ok' }
