-- Where the feed stands, in one step. It writes nothing: a store that takes no writes is still read.
-- KEYS     epoch, sequence, feed
-- Returns  epoch ("" before the first write), sequence, id of the stream's last entry
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return {
  redis.call('GET', KEYS[1]) or '',
  tonumber(redis.call('GET', KEYS[2]) or 0),
  last[1] and last[1][1] or '0-0',
}
