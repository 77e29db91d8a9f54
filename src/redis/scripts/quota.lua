-- One step on each of some counters of quotas: the arithmetic of core/quotas/quota-counter.ts, by Redis's clock. A caller sends
-- at most fifty counters, because Redis serves no other instance meanwhile. A key may occur twice.
-- KEYS     for each step a counter, and with a charge a hash of the ids of charges that it has counted. A counter is a hash of `window` (its start in milliseconds), `used` (whole units, see core/quotas/quota-counter.ts), `reported` (the threshold that was
--          reported), `limit` (that of the last step but a posting, for operators), for each outstanding lease `l:<lease id>` = "<units> <deadline in microseconds>", and for each instance
--          that has posted `p:<instance>` = number of its last posting
-- ARGV     lease life and shortest lease in microseconds, then for each counter:
--          limit, extra units and the start of the window that has them, start, end and next end of the windows in milliseconds, lease id ("" requests nothing), cost, waiting, ahead, held,
--          instance of a posting ("" posts nothing), its number, the number after which it comes, its window, its amount,
--          1 with a charge, followed by its id, amount, reserved units, when it was issued and received, 1 if units may be returned, how many milliseconds the hash lives; else 0,
--          number of settlements, then settlements as pairs: lease id, unspent units
-- Returns  for each step fourteen integers: 1 if the time lies in the windows (else nothing was done), time in milliseconds,
--          start of the window, microseconds left, granted units, life of the lease, 1 if the window ends too soon for a lease,
--          used, free and leased units, expired units, crossed threshold, outcome of the posting (0 none, 1 counted, 2 void, 3 behind),
--          outcome of the charge (0 none, 1 counted, 2 repeated, 3 void)
local MICRO = 1000000
local HOUR_MS, DAY_MS = 3600000, 86400000
local WINDOW_EDGE_MS = 2000

local life, shortest = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = tonumber(time[1]) * MICRO + tonumber(time[2])
local now_ms = math.floor(now / 1000)

-- Formats integers up to 2^53. tostring would format a time as 1.79e+12.
local function whole(number) return string.format('%.0f', number) end

-- Returns window, used, reported, leases and last postings. A damaged counter, or a key of another type, is replaced.
local function load(key)
  local leases, posted = {}, {}
  local window, used, reported = nil, nil, 0
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' then
    local fields = redis.call('HGETALL', key)
    -- The write that needs memory must be first. After a write that frees memory a full Redis would accept all others.
    if fields[2] then redis.call('HSET', key, fields[1], fields[2]) end
    for i = 1, #fields, 2 do
      local name, value = fields[i], fields[i + 1]
      local prefix = string.sub(name, 1, 2)
      if name == 'window' then window = tonumber(value)
      elseif name == 'used' then used = tonumber(value)
      elseif name == 'reported' then reported = tonumber(value) or 0
      elseif prefix == 'p:' then posted[string.sub(name, 3)] = tonumber(value) or 0
      elseif prefix == 'l:' then
        local units, deadline = string.match(value, '^(%d+) (%d+)$')
        local lease = { tonumber(units), tonumber(deadline) }
        if units and lease[1] < 2 ^ 43 and lease[2] < 2 ^ 53 then leases[string.sub(name, 3)] = lease
        else redis.call('HDEL', key, name) end
      end
    end
  end
  -- Up to 2^43 ms, the end of a window in microseconds is a safe integer.
  local sane = window and window >= 0 and window < 2 ^ 43 and window % 1 == 0
    and used and used >= -2 ^ 52 and used < 2 ^ 53 and used % 1 == 0
  if not sane then
    if kind ~= 'none' then redis.call('DEL', key) end
    return -1, 0, 0, {}, {}
  end
  return window, math.min(used, 2 ^ 52), reported, leases, posted
end

-- Returns what the charge adds to its reservation, which counts already.
local function charged_units(window, amount, reserved, issued, refundable)
  if issued < window then return amount end
  if amount >= reserved or (refundable and issued >= window + WINDOW_EDGE_MS) then return amount - reserved end
  return 0
end

-- A key of another type is replaced, because the script has steps of other subjects.
local function is_counted(mark, id)
  local found = redis.pcall('HEXISTS', mark, id)
  if type(found) == 'table' then redis.call('DEL', mark) end
  return found == 1
end

-- `mark` is the hash of the step's charge, if it has one. `at` is the place of its arguments. Returns the place of the next
-- step's, 1 if it has a charge, and the reply.
local function step(key, mark, at)
  local limit, extra, extra_window = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 2
  local start_ms, end_ms, next_end_ms = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local lease_id = ARGV[at + 4]
  local cost, waiting, ahead = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local held = tonumber(ARGV[at + 8])
  at = at + 1
  local instance = ARGV[at + 8]
  local charges = tonumber(ARGV[at + 13])
  local charge_at = at + 13
  local first = charge_at + 7 * charges + 2
  local last = first + 2 * tonumber(ARGV[first - 1]) - 1
  if now_ms < start_ms or now_ms >= next_end_ms then
    return last + 1, charges, { 0, now_ms, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  end

  local window, used, reported, leases, posted = load(key)
  local begin_ms, over_ms = start_ms, end_ms
  if now_ms >= end_ms then begin_ms, over_ms = end_ms, next_end_ms end
  if window < begin_ms then
    window, used, reported = begin_ms, 0, 0
    redis.call('HSET', key, 'window', whole(window), 'used', '0', 'reported', '0')
    for id in pairs(leases) do redis.call('HDEL', key, 'l:' .. id) end
    for id in pairs(posted) do redis.call('HDEL', key, 'p:' .. id) end
    leases, posted = {}, {}
  end
  -- A policy can give a quota a longer window, within which that of the counter has begun.
  local extra_of = window
  if window < over_ms then extra_of = begin_ms end
  if extra_of == extra_window then limit = limit + extra end
  -- After a step of the clock the counter's window may lie ahead. It is never left for an earlier one.
  if window >= over_ms then
    if window == end_ms then over_ms = next_end_ms else over_ms = window + HOUR_MS end
  end
  local left = over_ms * 1000 - now

  local out, expired = 0, 0
  for id, lease in pairs(leases) do
    if lease[2] <= now then
      expired = expired + lease[1]
      leases[id] = nil
      redis.call('HDEL', key, 'l:' .. id)
    else
      out = out + lease[1]
      if lease[2] > now + life then
        lease[2] = now + life
        redis.call('HSET', key, 'l:' .. id, whole(lease[1]) .. ' ' .. whole(lease[2]))
      end
    end
  end
  used = used + expired
  for i = first, last, 2 do
    local lease = leases[ARGV[i]]
    if lease then
      leases[ARGV[i]] = nil
      redis.call('HDEL', key, 'l:' .. ARGV[i])
      out = out - lease[1]
      used = used + lease[1] - math.min(lease[1], math.max(0, tonumber(ARGV[i + 1])))
    end
  end

  local outcome = 0
  if instance ~= '' then
    local number, after = tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    local of, amount = tonumber(ARGV[at + 11]), tonumber(ARGV[at + 12])
    local previous = posted[instance] or 0
    -- A policy can change the windows of a quota, so one can begin within another. See core/quotas/quota-counter.ts.
    local open_from = window
    if window <= now_ms then open_from = begin_ms end
    if of < open_from then outcome = 2
    elseif of > math.max(window, now_ms) then outcome = 0
    elseif number <= previous then outcome = 1
    elseif previous < after then outcome = 3
    else
      outcome = 1
      used = math.min(used + amount, 2 ^ 52)
      redis.call('HSET', key, 'p:' .. instance, whole(number))
    end
  end

  local charged = 0
  if charges == 1 then
    local id, amount, reserved = ARGV[charge_at + 1], tonumber(ARGV[charge_at + 2]), tonumber(ARGV[charge_at + 3])
    local issued, received = tonumber(ARGV[charge_at + 4]), tonumber(ARGV[charge_at + 5])
    if received + WINDOW_EDGE_MS < window then charged = 3
    elseif is_counted(mark, id) then charged = 2
    else
      charged = 1
      redis.call('HSET', mark, id, '')
      redis.call('PEXPIRE', mark, ARGV[charge_at + 7])
      used = used + charged_units(window, amount, reserved, issued, ARGV[charge_at + 6] == '1')
      used = math.max(-2 ^ 52, math.min(used, 2 ^ 52))
    end
  end

  local granted, lived, ending = 0, 0, 0
  if lease_id ~= '' then
    local free = math.max(0, limit - math.max(0, used + out))
    local lives = math.min(life, left)
    if leases[lease_id] then
      -- A repetition of a request that was executed before. Nothing is granted twice.
      granted, lived = leases[lease_id][1], leases[lease_id][2] - now
    elseif lives < shortest then
      if cost > 0 and free >= cost then ending = 1 end
    elseif free >= cost then
      granted = math.max(cost, math.min(waiting, free), math.min(ahead, math.floor(free / 100) - held))
      if granted > 0 then
        lived = lives
        out = out + granted
        redis.call('HSET', key, 'l:' .. lease_id, whole(granted) .. ' ' .. whole(now + lives))
      end
    end
  end

  local free = math.max(0, limit - math.max(0, used + out))
  local reached, crossed = 0, 0
  if limit > 0 and used + out >= limit then reached = 100
  elseif limit > 0 and (used + out) * 10 >= limit * 8 then reached = 80 end
  if reached > reported then reported, crossed = reached, reached end

  local state = { 'window', whole(window), 'used', whole(used), 'reported', whole(reported) }
  -- A posting comes without the limit.
  if instance == '' then state[7], state[8] = 'limit', whole(limit) end
  redis.call('HSET', key, unpack(state))
  redis.call('PEXPIRE', key, whole(math.ceil(left / 1000) + DAY_MS))
  return last + 1, charges,
    { 1, now_ms, window, left, granted, lived, ending, math.max(0, used), free, math.max(0, out + math.min(0, used)), expired, crossed, outcome, charged }
end

local replies, at, place = {}, 3, 1
while at <= #ARGV do
  local charges, reply
  at, charges, reply = step(KEYS[place], KEYS[place + 1], at)
  place = place + 1 + charges
  for _, number in ipairs(reply) do replies[#replies + 1] = number end
end
return replies
