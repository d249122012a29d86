-- When tokens end if not used again: KEYS[1] {tag}:epoch; ARGV: the epoch held, then token ids. Below zero: not there.
local ends = { 'ok' }
for i = 2, #ARGV do ends[i] = redis.call('PEXPIRETIME', P .. 't:' .. ARGV[i]) end
return ends
