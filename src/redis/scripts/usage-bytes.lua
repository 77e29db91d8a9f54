-- Adds to the estimated bytes of each day, and forgets days that are past their retention.
-- KEYS[1]  bytes
-- ARGV     the first kept day of hours, the first kept day of days; then, for each change: its field, its bytes
-- Returns  the sum of all days, as a text
local BYTES = KEYS[1]
local function whole(number) return string.format('%.0f', number) end
local kept = { h = tonumber(ARGV[1]), d = tonumber(ARGV[2]) }
for i = 3, #ARGV, 2 do
  local sum = tonumber(redis.call('HGET', BYTES, ARGV[i]) or '0') + tonumber(ARGV[i + 1])
  redis.call('HSET', BYTES, ARGV[i], whole(sum))
end
local total = 0
local fields = redis.call('HGETALL', BYTES)
for i = 1, #fields, 2 do
  local kind, day = string.sub(fields[i], 1, 1), tonumber(string.sub(fields[i], 2))
  if day and kept[kind] and day >= kept[kind] then
    total = total + tonumber(fields[i + 1])
  else
    redis.call('HDEL', BYTES, fields[i])
  end
end
return whole(total)
