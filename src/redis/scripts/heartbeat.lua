-- One heartbeat of an instance: records the instance and counts the members atomically.
-- KEYS[1]  members: a sorted set, instance id → time of its last heartbeat (ms)
-- KEYS[2]  epoch: "<random> <start time, ms>"
-- ARGV     instance id, ms after which a member without a heartbeat is removed, a random text for a new epoch
-- Returns  1 if the instance joins or rejoins, members, ms since the oldest heartbeat of another member (-1 without one, -2 if the clock has
--          stepped back behind the heartbeat of one), age of the epoch in ms
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

local epoch = redis.call('GET', KEYS[2])
local started = epoch and tonumber(string.match(epoch, ' (%d+)$'))
if not started then
  started = now
  redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. whole(now))
end

local removed_before = now - tonumber(ARGV[2])
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
local joined = (not last or tonumber(last) < removed_before) and 1 or 0
-- The write that needs memory must be first. After a write that frees memory a full Redis would accept it, but reject leases.
redis.call('ZADD', KEYS[1], whole(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(removed_before))

-- This instance has the latest heartbeat, so the oldest other member is one of the first two.
local oldest = -1
local first = redis.call('ZRANGE', KEYS[1], 0, 1, 'WITHSCORES')
for i = 1, #first, 2 do
  if first[i] ~= ARGV[1] then
    oldest = now - tonumber(first[i + 1])
    break
  end
end
-- Such a heartbeat may be older than it looks.
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if tonumber(newest[2]) > now then oldest = -2 end
return { joined, redis.call('ZCARD', KEYS[1]), oldest, now - started }
