-- A ticket is used once: ARGV beyond WHOLE's five are its id, its end in ms, and who uses it, '' for whoever only looks. Nothing knows of a
-- ticket before it is used. Who used it is kept, so that whoever did not hear the answer may ask again; for a minute longer than it lasts, so
-- that a clock which is set back a little makes none good again. Returns 'good', 'used' or 'over'.
if not authorised() then return { 'epoch' } end
local time = redis.call('TIME')
local left = tonumber(ARGV[7]) - (time[1] * 1000 + math.floor(time[2] / 1000))
local name = P .. 'used:' .. ARGV[6]
local by = redis.call('GET', name)
if by and by ~= ARGV[8] then return { 'used' } end
if left <= 0 or left > 60000 then return { 'over' } end
if ARGV[8] ~= '' then redis.call('SET', name, ARGV[8], 'PX', string.format('%d', left + 60000)) end
return { 'good' }
