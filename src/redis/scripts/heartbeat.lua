-- One heartbeat of an instance: writes itself and counts the members in one step.
-- KEYS[1]  members: a sorted set, instance id → time of its last beat (ms)
-- KEYS[2]  epoch: "<random> <time at which the store's memory begins, ms>"
-- ARGV     instance id, ms after which a silent member is forgotten, a random word for a new epoch
-- Returns  1 when it joins anew, members, ms since the oldest beat of another member (-1 without one), age of the epoch in ms
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end

local epoch = redis.call('GET', KEYS[2])
local began = epoch and tonumber(string.match(epoch, ' (%d+)$'))
if not began then
  began = now
  redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. whole(now))
end

local forgotten_before = now - tonumber(ARGV[2])
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
local anew = (not last or tonumber(last) < forgotten_before) and 1 or 0
-- First of all what needs memory: after a write that frees some, Redis would let it pass although it is full, and refuse leases.
redis.call('ZADD', KEYS[1], whole(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(forgotten_before))

-- This instance has just beaten, so it stands last: the oldest other one is among the first two.
local oldest = -1
local first = redis.call('ZRANGE', KEYS[1], 0, 1, 'WITHSCORES')
for i = 1, #first, 2 do
  if first[i] ~= ARGV[1] then
    oldest = now - tonumber(first[i + 1])
    break
  end
end
return { anew, redis.call('ZCARD', KEYS[1]), oldest, now - began }
