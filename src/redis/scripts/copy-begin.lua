-- Prepares a store for a copy of another one: its epoch, its dates and the name of the source.
-- KEYS     epoch, counts, sequence, copies, newest date, newest uncut date, forgotten
-- ARGV     the id of a new epoch, the id of the source, the source's newest date, newest uncut date and forgotten
local EPOCH, COUNTS, SEQUENCE, COPIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
if redis.call('EXISTS', EPOCH) == 0 then
  redis.call('SET', EPOCH, ARGV[1] .. ' ' .. whole(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)))
end
if redis.call('EXISTS', COUNTS) == 0 and redis.call('EXISTS', SEQUENCE) == 0 then
  redis.call('HSET', COUNTS, 'standings', 0, 'families', 0, 'cut_offs', 0)
end
if redis.call('HEXISTS', COPIES, ARGV[2]) == 0 then redis.call('HSET', COPIES, ARGV[2], '0') end
-- If the newest date is lost, keys may have been dated a few seconds ahead.
local unknown = redis.call('EXISTS', SEQUENCE) == 1 and tonumber(time[1]) + 5 or 0
for i = 5, 7 do
  local stored = redis.call('GET', KEYS[i])
  local known = tonumber(stored or (i < 7 and unknown or 0))
  local least = math.max(known, tonumber(ARGV[i - 2]))
  if not stored or least > known then redis.call('SET', KEYS[i], whole(least)) end
end
return 1
