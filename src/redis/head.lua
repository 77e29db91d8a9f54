-- Where the feed stands, in one step.
-- KEYS     epoch, sequence, feed
-- ARGV     a random word for a new epoch
-- Returns  epoch, sequence, id of the stream's last entry
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  local time = redis.call('TIME')
  epoch = ARGV[1] .. ' ' .. string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  redis.call('SET', KEYS[1], epoch)
end
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
return { epoch, tonumber(redis.call('GET', KEYS[2]) or 0), last[1] and last[1][1] or '0-0' }
