-- Fills buckets and publishes this, so that instances drop their leases on them.
-- KEYS     sequence, feed; then the buckets
-- ARGV     feed length, the feed entry
-- Returns  the sequence number of the entry; 0 if the buckets were full already
local deleted = 0
for i = 3, #KEYS do deleted = deleted + redis.call('DEL', KEYS[i]) end
-- A missing bucket is full and has no leases.
if deleted == 0 then return 0 end
local position = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 's', string.format('%.0f', position), 'e', ARGV[2])
return position
