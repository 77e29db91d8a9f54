-- Publishes an entry in the feed.
-- KEYS     sequence, feed
-- ARGV     feed length, the feed entry
-- Returns  the sequence number of the entry
local position = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 's', string.format('%.0f', position), 'e', ARGV[2])
return position
