-- One step of each of some leased buckets: the arithmetic of core/limits/leased-bucket.ts, by Redis's clock. A caller sends
-- at most fifty buckets, because Redis serves no other instance meanwhile. A key may occur twice.
-- KEYS     the buckets: a hash of `level` (micro-tokens), `stamp` (microseconds) and, for each outstanding lease,
--          `l:<lease id>` = "<tokens> <deadline in microseconds>"
-- ARGV     lease life in microseconds, then for each bucket:
--          "<capacity> <refill per second> <cost> <waiting> <ahead> <number of settlements>", lease id ("" only settles),
--          then settlements as triples: lease id, unspent tokens, microseconds since the last spent token
-- Returns  for each bucket: granted tokens, wait in microseconds, and 1 or 0: after a grant, whether half of the capacity is left;
--          after a denial, whether other leases hold tokens that may be returned
local MICRO = 1000000
local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min
local format, match, sub = string.format, string.match, string.sub

local life = tonumber(ARGV[1])

local time = redis.call('TIME')
local now = tonumber(time[1]) * MICRO + tonumber(time[2])

-- Formats integers up to 2^53. tostring would format a stamp as 1.79e+15. %d is faster, but has 32 bits in some builds of Redis.
local form = format('%d', 2 ^ 53) == '9007199254740992' and '%d' or '%.0f'
local function whole(number) return format(form, number) end

local life_end = whole(now + life)

-- Most steps of a script have the same limit and amounts, so each text is parsed once.
local parsed = {}
local function amounts_of(text)
  local amounts = parsed[text]
  if not amounts then
    amounts = {}
    for number in string.gmatch(text, '%S+') do amounts[#amounts + 1] = tonumber(number) end
    parsed[text] = amounts
  end
  return amounts
end

-- Returns level and stamp at `till`. The level stays within `limit`.
local function refill(level, stamp, limit, per_second, till)
  local elapsed = till - stamp
  if elapsed <= 0 then
    stamp = till
  else
    local credit = floor(elapsed * per_second)
    level = level + credit
    stamp = stamp + min(elapsed, ceil(credit / per_second))
  end
  if level >= limit then return max(0, limit), till end
  return level, stamp
end

local function earlier(a, b) return a[1] < b[1] end

-- Returns the fields of the bucket, and whether something else is at its key.
local function read(key)
  local fields = redis.pcall('HGETALL', key)
  if not fields.err then return fields, false end
  if redis.call('TYPE', key).ok ~= 'hash' then return {}, true end
  return redis.call('HGETALL', key), false
end

-- `at` is the place of the bucket's arguments. Returns granted tokens, wait, the flag, and the place of the next bucket's.
-- The write that needs memory is the first one. After a write that frees memory a full Redis would accept all others.
local function step(key, at)
  local amounts, lease_id = amounts_of(ARGV[at]), ARGV[at + 1]
  local capacity, per_second, cost = amounts[1] * MICRO, amounts[2], amounts[3]
  local first = at + 2
  local last = first + 3 * amounts[6] - 1

  local level, stamp = nil, nil
  local leases, out, ended = {}, 0, {}
  local fields, foreign = read(key)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'level' then level = tonumber(value)
    elseif name == 'stamp' then stamp = tonumber(value)
    elseif sub(name, 1, 2) == 'l:' then
      local tokens, deadline = match(value, '^(%d+) (%d+)$')
      -- Digits become a number by arithmetic in half the time of tonumber.
      local lease = tokens and { tokens + 0, deadline + 0 }
      if lease and lease[1] < 2 ^ 33 and lease[2] < 2 ^ 53 then leases[sub(name, 3)] = lease
      else ended[#ended + 1] = name end
    end
  end
  -- A damaged bucket, or a key of another type, is replaced. That adds at most one capacity.
  local sane = level and stamp and level == level and level >= 0 and level < 2 ^ 53 and stamp >= 0 and stamp < 2 ^ 53
  if not sane then
    if fields[2] then redis.call('HSET', key, fields[1], fields[2]) end
    if fields[2] or foreign then redis.call('DEL', key) end
    level, stamp, leases, ended = capacity, now, {}, {}
  end

  if next(leases) then
    -- A released lease allows refill from its release on, not from the last step on. So releases are replayed in order.
    local releases = {}
    for id, lease in pairs(leases) do
      out = out + lease[1] * MICRO
      if lease[2] <= now then
        releases[#releases + 1] = { lease[2], id, 0 }
      elseif lease[2] > now + life then
        lease[2] = now + life
        redis.call('HSET', key, 'l:' .. id, whole(lease[1]) .. ' ' .. life_end)
      end
    end
    for i = first, last, 3 do
      releases[#releases + 1] = { now - max(0, ARGV[i + 2] + 0), ARGV[i], max(0, ARGV[i + 1] + 0) }
    end
    if releases[2] then table.sort(releases, earlier) end
    for _, release in ipairs(releases) do
      local lease = leases[release[2]]
      if lease then
        if release[1] > stamp then level, stamp = refill(level, stamp, capacity - out, per_second, release[1]) end
        local left = min(lease[1], release[3])
        out = out - (lease[1] - left) * MICRO
        lease[1] = left
      end
    end
    level, stamp = refill(level, stamp, capacity - out, per_second, now)
    for id, lease in pairs(leases) do
      if lease[2] <= now then
        out = out - lease[1] * MICRO
        leases[id] = nil
        ended[#ended + 1] = 'l:' .. id
      end
    end
    for i = first, last, 3 do
      local lease = leases[ARGV[i]]
      if lease then
        leases[ARGV[i]] = nil
        ended[#ended + 1] = 'l:' .. ARGV[i]
        out = out - lease[1] * MICRO
        level = level + lease[1] * MICRO
      end
    end
  else
    level, stamp = refill(level, stamp, capacity, per_second, now)
  end

  local granted, wait, flag, is_new = 0, 0, 0, false
  if lease_id ~= '' then
    local tokens = floor(level / MICRO)
    if leases[lease_id] then
      -- A repetition of a request that was executed before. Nothing is granted twice.
      granted = leases[lease_id][1]
    elseif tokens >= cost and cost >= 1 then
      granted = max(cost, min(amounts[4], tokens), min(amounts[5], floor(tokens / 2)))
      level = level - granted * MICRO
      is_new = true
    else
      wait = ceil(max(0, cost * MICRO - level) / per_second)
      if capacity - out < cost * MICRO then
        local longest = 0
        for _, lease in pairs(leases) do longest = max(longest, lease[2] - now) end
        wait = wait + longest
      end
      -- 142 years. The client's parser does not read every integer up to 2^53 exactly.
      wait = min(wait, 2 ^ 52)
      if next(leases) then flag = 1 end
    end
    if granted > 0 and level >= capacity / 2 then flag = 1 end
  end

  if is_new then
    local name, lease = 'l:' .. lease_id, whole(granted) .. ' ' .. life_end
    redis.call('HSET', key, 'level', whole(level), 'stamp', whole(stamp), name, lease)
    -- The same id may have ended in this step.
    for i = #ended, 1, -1 do
      if ended[i] == name then table.remove(ended, i) end
    end
  else
    redis.call('HSET', key, 'level', whole(level), 'stamp', whole(stamp))
  end
  -- In portions, because Lua passes a limited number of arguments.
  for i = 1, #ended, 500 do redis.call('HDEL', key, unpack(ended, i, min(i + 499, #ended))) end
  -- A full bucket without leases is the same as a missing one.
  local full_in = ceil((capacity - level) / per_second / 1000) + ceil(life / 1000)
  redis.call('PEXPIRE', key, min(full_in, 2 ^ 40))
  return granted, wait, flag, last + 1
end

local replies, at = {}, 2
for i, key in ipairs(KEYS) do
  replies[3 * i - 2], replies[3 * i - 1], replies[3 * i], at = step(key, at)
end
return replies
