-- Fills buckets and tells it: whoever holds leases on them gives them up.
-- KEYS     sequence, feed; then the buckets
-- ARGV     feed length, the entry's text
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
local position = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 's', string.format('%.0f', position), 'e', ARGV[2])
return position
