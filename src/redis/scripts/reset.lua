-- Fills buckets and tells it: whoever holds leases on them gives them up.
-- KEYS     sequence, feed; then the buckets
-- ARGV     feed length, the entry's text
-- Returns  the entry's place in the feed; 0 where the buckets were full
local emptied = 0
for i = 3, #KEYS do emptied = emptied + redis.call('DEL', KEYS[i]) end
-- A bucket that is not stored is full and has no leases.
if emptied == 0 then return 0 end
local position = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 's', string.format('%.0f', position), 'e', ARGV[2])
return position
