-- One step of a leased bucket: the arithmetic of core/leased-bucket.ts, on Redis's clock.
-- KEYS[1]  the bucket: a hash of `level` (micro-tokens), `stamp` (microseconds) and, for each lease that is out,
--          `l:<lease id>` = "<tokens> <deadline in microseconds>"
-- ARGV     capacity, refill per second, lease life in microseconds,
--          lease id ("" only settles), cost, waiting, ahead,
--          then any number of pairs: lease id, unspent tokens
-- Returns  granted tokens, wait in microseconds, 1 when others hold tokens that may come back
local MICRO = 1000000

local capacity = tonumber(ARGV[1])
local refill_per_second = tonumber(ARGV[2])
local life = tonumber(ARGV[3])
local lease_id = ARGV[4]
local cost, waiting, ahead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local time = redis.call('TIME')
local now = tonumber(time[1]) * MICRO + tonumber(time[2])

-- Whole numbers up to 2^53: tostring would write 1.79e+15 for a stamp.
local function whole(number) return string.format('%.0f', number) end

local level, stamp = nil, nil
local leases, out = {}, 0
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'level' then level = tonumber(value)
    elseif name == 'stamp' then stamp = tonumber(value)
    elseif string.sub(name, 1, 2) == 'l:' then
      local tokens, deadline = string.match(value, '^(%d+) (%d+)$')
      if tokens then leases[string.sub(name, 3)] = { tonumber(tokens), tonumber(deadline) } end
    end
  end
end
-- What is no bucket of ours, or a damaged one, is begun anew: it adds one capacity at most.
local sane = level and stamp and level == level and level >= 0 and level < 2 ^ 53 and stamp >= 0 and stamp < 2 ^ 53
if not sane then
  if kind ~= 'none' then redis.call('DEL', KEYS[1]) end
  level, stamp, leases = capacity * MICRO, now, {}
end

for id, lease in pairs(leases) do
  if lease[2] <= now then
    leases[id] = nil
    redis.call('HDEL', KEYS[1], 'l:' .. id)
  end
end
for i = 8, #ARGV, 2 do
  local lease = leases[ARGV[i]]
  if lease then
    leases[ARGV[i]] = nil
    redis.call('HDEL', KEYS[1], 'l:' .. ARGV[i])
    level = level + math.max(0, math.min(tonumber(ARGV[i + 1]), lease[1])) * MICRO
  end
end

local longest = 0
for _, lease in pairs(leases) do
  out = out + lease[1] * MICRO
  longest = math.max(longest, lease[2] - now)
end
local room = capacity * MICRO - out
local elapsed = now - stamp
if elapsed <= 0 then
  stamp = now
else
  local credit = math.floor(elapsed * refill_per_second)
  level = level + credit
  stamp = stamp + math.min(elapsed, math.ceil(credit / refill_per_second))
end
if level >= room then
  level = math.max(0, room)
  stamp = now
end

local granted, wait, others_out = 0, 0, 0
if lease_id ~= '' then
  local tokens = math.floor(level / MICRO)
  if tokens >= cost and cost >= 1 then
    granted = math.max(cost, math.min(waiting, tokens), math.min(ahead, math.floor(tokens / 2)))
    level = level - granted * MICRO
    redis.call('HSET', KEYS[1], 'l:' .. lease_id, whole(granted) .. ' ' .. whole(now + life))
  else
    wait = math.ceil(math.max(0, cost * MICRO - level) / refill_per_second)
    if room < cost * MICRO then wait = wait + longest end
    if next(leases) then others_out = 1 end
  end
end

redis.call('HSET', KEYS[1], 'level', whole(level), 'stamp', whole(stamp))
-- Full again, with no lease out: the same as not being there.
local full_in = math.ceil((capacity * MICRO - level) / refill_per_second / 1000) + math.ceil(life / 1000)
redis.call('PEXPIRE', KEYS[1], math.min(full_in, 2 ^ 40))
return { granted, wait, others_out }
