-- One step of each of some leased buckets: the arithmetic of core/limits/leased-bucket.ts, by Redis's clock. A caller sends
-- at most fifty buckets, because Redis serves no other instance meanwhile. A key may occur twice.
-- KEYS     the buckets: a hash of `level` (micro-tokens), `stamp` (microseconds) and, for each outstanding lease,
--          `l:<lease id>` = "<tokens> <deadline in microseconds>"
-- ARGV     lease life in microseconds, then for each bucket:
--          capacity, refill per second, lease id ("" only settles), cost, waiting, ahead, number of settlements,
--          then settlements as triples: lease id, unspent tokens, microseconds since the last spent token
-- Returns  for each bucket: granted tokens, wait in microseconds, 1 if other leases hold tokens that may be returned
local MICRO = 1000000

local life = tonumber(ARGV[1])

local time = redis.call('TIME')
local now = tonumber(time[1]) * MICRO + tonumber(time[2])

-- Formats integers up to 2^53. tostring would format a stamp as 1.79e+15.
local function whole(number) return string.format('%.0f', number) end

-- `at` is the place of the bucket's arguments. Returns granted tokens, wait, outstanding, and the place of the next bucket's.
local function step(key, at)
  local capacity = tonumber(ARGV[at])
  local refill_per_second = tonumber(ARGV[at + 1])
  local lease_id = ARGV[at + 2]
  local cost, waiting, ahead = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local first = at + 7
  local last = first + 3 * tonumber(ARGV[at + 6]) - 1

  local level, stamp = nil, nil
  local leases, out = {}, 0
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' then
    local fields = redis.call('HGETALL', key)
    -- The write that needs memory must be first. After a write that frees memory a full Redis would accept all others.
    if fields[2] then redis.call('HSET', key, fields[1], fields[2]) end
    for i = 1, #fields, 2 do
      local name, value = fields[i], fields[i + 1]
      if name == 'level' then level = tonumber(value)
      elseif name == 'stamp' then stamp = tonumber(value)
      elseif string.sub(name, 1, 2) == 'l:' then
        local tokens, deadline = string.match(value, '^(%d+) (%d+)$')
        local lease = { tonumber(tokens), tonumber(deadline) }
        if tokens and lease[1] < 2 ^ 33 and lease[2] < 2 ^ 53 then leases[string.sub(name, 3)] = lease
        else redis.call('HDEL', key, name) end
      end
    end
  end
  -- A damaged bucket, or a key of another type, is replaced. That adds at most one capacity.
  local sane = level and stamp and level == level and level >= 0 and level < 2 ^ 53 and stamp >= 0 and stamp < 2 ^ 53
  if not sane then
    if kind ~= 'none' then redis.call('DEL', key) end
    level, stamp, leases = capacity * MICRO, now, {}
  end

  local function refill(till)
    local limit = capacity * MICRO - out
    local elapsed = till - stamp
    if elapsed <= 0 then
      stamp = till
    else
      local credit = math.floor(elapsed * refill_per_second)
      level = level + credit
      stamp = stamp + math.min(elapsed, math.ceil(credit / refill_per_second))
    end
    if level >= limit then
      level = math.max(0, limit)
      stamp = till
    end
  end

  -- A released lease allows refill from its release on, not from the last step on. So releases are replayed in order.
  local releases = {}
  for id, lease in pairs(leases) do
    out = out + lease[1] * MICRO
    if lease[2] <= now then
      releases[#releases + 1] = { lease[2], id, 0 }
    elseif lease[2] > now + life then
      lease[2] = now + life
      redis.call('HSET', key, 'l:' .. id, whole(lease[1]) .. ' ' .. whole(lease[2]))
    end
  end
  for i = first, last, 3 do
    local ago = math.max(0, tonumber(ARGV[i + 2]))
    releases[#releases + 1] = { now - ago, ARGV[i], math.max(0, tonumber(ARGV[i + 1])) }
  end
  table.sort(releases, function(a, b) return a[1] < b[1] end)
  for _, release in ipairs(releases) do
    local lease = leases[release[2]]
    if lease then
      if release[1] > stamp then refill(release[1]) end
      local left = math.min(lease[1], release[3])
      out = out - (lease[1] - left) * MICRO
      lease[1] = left
    end
  end
  refill(now)
  for id, lease in pairs(leases) do
    if lease[2] <= now then
      out = out - lease[1] * MICRO
      leases[id] = nil
      redis.call('HDEL', key, 'l:' .. id)
    end
  end
  for i = first, last, 3 do
    local lease = leases[ARGV[i]]
    if lease then
      leases[ARGV[i]] = nil
      redis.call('HDEL', key, 'l:' .. ARGV[i])
      out = out - lease[1] * MICRO
      level = level + lease[1] * MICRO
    end
  end

  local granted, wait, outstanding = 0, 0, 0
  if lease_id ~= '' then
    local tokens = math.floor(level / MICRO)
    if leases[lease_id] then
      -- A repetition of a request that was executed before. Nothing is granted twice.
      granted = leases[lease_id][1]
    elseif tokens >= cost and cost >= 1 then
      granted = math.max(cost, math.min(waiting, tokens), math.min(ahead, math.floor(tokens / 2)))
      level = level - granted * MICRO
      redis.call('HSET', key, 'l:' .. lease_id, whole(granted) .. ' ' .. whole(now + life))
    else
      wait = math.ceil(math.max(0, cost * MICRO - level) / refill_per_second)
      if capacity * MICRO - out < cost * MICRO then
        local longest = 0
        for _, lease in pairs(leases) do longest = math.max(longest, lease[2] - now) end
        wait = wait + longest
      end
      -- 142 years. The client's parser does not read every integer up to 2^53 exactly.
      wait = math.min(wait, 2 ^ 52)
      if next(leases) then outstanding = 1 end
    end
  end

  redis.call('HSET', key, 'level', whole(level), 'stamp', whole(stamp))
  -- A full bucket without leases is the same as a missing one.
  local full_in = math.ceil((capacity * MICRO - level) / refill_per_second / 1000) + math.ceil(life / 1000)
  redis.call('PEXPIRE', key, math.min(full_in, 2 ^ 40))
  return granted, wait, outstanding, last + 1
end

local replies, at = {}, 2
for i, key in ipairs(KEYS) do
  replies[3 * i - 2], replies[3 * i - 1], replies[3 * i], at = step(key, at)
end
return replies
