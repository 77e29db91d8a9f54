-- Writes the phase of V1 keys of another store, unless the stored phase has changed since it was read.
-- KEYS     migration, copies, feed, feed sequence
-- ARGV     the stored phase ("" none), the new phase, the field and the text that say which phase was copied, feed length
-- Returns  1 if it was written
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
local position = redis.call('INCR', KEYS[4])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 's', string.format('%.0f', position), 'e', ARGV[2])
return 1
