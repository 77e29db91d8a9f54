-- Counts postings of usage of different families, each at most once. Counts are written as "<allowed> <denied> <limited> <cost>",
-- those of routes without the cost.
-- KEYS     for each posting: the numbers of its day, the hours of its day, its day
-- ARGV[1]  JSON: instance, maxRoutes, otherRoute, ahead (seconds), postings [{number, after, opens, closes, numbersUntil, hoursUntil, daysUntil (NumericDates), hour (of the day), counts, units [[unit, amount]], routes [[label, counts]]}]
-- Returns  for each posting: 0 (counted), 1 (void) or 2 (behind); the new bytes of hours; the new bytes of days
local batch = cjson.decode(ARGV[1])
local now = tonumber(redis.call('TIME')[1])
-- What a new hash and a new field take, beside their texts.
local KEY_BYTES, FIELD_BYTES = 150, 6
-- A larger sum would not be exact. See core/usage/usage-amount.ts.
local LARGEST = 2 ^ 53 - 1

-- Formats integers up to 2^53. tostring would format large ones as 1.79e+15.
local function whole(number) return string.format('%.0f', number) end

-- Adds to the counts of a field. `before` is its text, false for a new field, or nil if it must be read. Returns the new bytes, and
-- whether the field is new.
local function add(key, field, amounts, before)
  if before == nil then before = redis.call('HGET', key, field) end
  local sums = {}
  for part in string.gmatch(before or '', '%d+') do sums[#sums + 1] = tonumber(part) end
  for at, amount in ipairs(amounts) do sums[at] = whole(math.min((sums[at] or 0) + amount, LARGEST)) end
  local text = table.concat(sums, ' ')
  redis.call('HSET', key, field, text)
  if before then return #text - #before, false end
  return #text + #field + FIELD_BYTES, true
end

-- Adds to a route, or to all others once the day has its maximum of routes. The field "n" holds their number.
local function add_route(day, label, amounts)
  local field = 'r' .. label
  local before = redis.call('HGET', day, field)
  if before or label == batch.otherRoute then return add(day, field, amounts, before) end
  local known = tonumber(redis.call('HGET', day, 'n') or '0')
  if known >= batch.maxRoutes then return add(day, 'r' .. batch.otherRoute, amounts) end
  redis.call('HSET', day, 'n', whole(known + 1))
  return add(day, field, amounts, before)
end

local function count(posting, hours, day)
  local new_hours, is_new_hour = add(hours, posting.hour, posting.counts)
  local new_day, is_new_day = add(day, 't', posting.counts)
  if is_new_day then new_day = new_day + KEY_BYTES end
  if is_new_hour and redis.call('HLEN', hours) == 1 then new_hours = new_hours + KEY_BYTES end
  for _, unit in ipairs(posting.units) do
    new_hours = new_hours + add(hours, posting.hour .. 'u' .. unit[1], { unit[2] })
    new_day = new_day + add(day, 'u' .. unit[1], { unit[2] })
  end
  for _, route in ipairs(posting.routes) do
    new_day = new_day + add_route(day, route[1], route[2])
  end
  -- Once an hour is enough, also for a changed retention.
  if is_new_hour or is_new_day then
    redis.call('PEXPIRE', hours, whole((posting.hoursUntil - now) * 1000))
    redis.call('PEXPIRE', day, whole((posting.daysUntil - now) * 1000))
  end
  return new_hours, new_day
end

local replies = {}
local function reply(outcome, new_hours, new_day)
  replies[#replies + 1] = outcome
  replies[#replies + 1] = new_hours
  replies[#replies + 1] = new_day
end

for i, posting in ipairs(batch.postings) do
  local numbers, hours, day = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local last = tonumber(redis.call('HGET', numbers, batch.instance) or '0')
  if posting.number <= last then
    reply(0, 0, 0)
  elseif now >= posting.closes or posting.opens > now + batch.ahead then
    reply(1, 0, 0)
  elseif last < posting.after then
    reply(2, 0, 0)
  else
    -- The number comes first: if a command below fails, the posting is lost, but never counted twice.
    redis.call('HSET', numbers, batch.instance, whole(posting.number))
    if last == 0 then redis.call('PEXPIRE', numbers, whole((posting.numbersUntil - now) * 1000)) end
    reply(0, count(posting, hours, day))
  end
end
return replies
