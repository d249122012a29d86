-- What the members have applied. KEYS[1] {tag}:epoch; ARGV: the epoch held. Returns how many entries the log has had, and of
-- each member what it wrote, '' where it has written nothing.
local said = {}
for i, member in ipairs(redis.call('HKEYS', P .. 'members')) do said[i] = redis.call('HGET', P .. 'ack', member) or '' end
return { 'ok', redis.call('GET', P .. 'seq') or '0', said }
