-- Reads the head of the feed atomically. It writes nothing, so it works on a store that takes no writes.
-- KEYS     epoch, sequence, feed
-- Returns  epoch ("" before the first write), sequence, id of the last stream entry, Redis's clock in ms
local time = redis.call('TIME')
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return {
  redis.call('GET', KEYS[1]) or '',
  tonumber(redis.call('GET', KEYS[2]) or 0),
  last[1] and last[1][1] or '0-0',
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
}
