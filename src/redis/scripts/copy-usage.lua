-- Takes over the usage of a family on one day of another store: the larger one of each number. Counts are written as in usage.lua.
-- KEYS     the hours of the day, the day
-- ARGV[1]  JSON: other (the field of all other routes), hours and day [[field, counts]], lives (seconds of both keys from now)
-- Returns  the new bytes of hours, the new bytes of days
local HOURS, DAY = KEYS[1], KEYS[2]
local row = cjson.decode(ARGV[1])
local KEY_BYTES, FIELD_BYTES = 150, 6
local function whole(number) return string.format('%.0f', number) end

-- Returns the new bytes, and the number of new routes.
local function raise(key, fields, life)
  if #fields == 0 then return 0, 0 end
  local is_new = redis.call('EXISTS', key) == 0
  local bytes, routes = is_new and KEY_BYTES or 0, 0
  for _, field in ipairs(fields) do
    local name, counts = field[1], field[2]
    local before = redis.call('HGET', key, name)
    local largest = {}
    for part in string.gmatch(before or '', '%d+') do largest[#largest + 1] = tonumber(part) end
    for at, count in ipairs(counts) do largest[at] = math.max(largest[at] or 0, count) end
    for at, count in ipairs(largest) do largest[at] = whole(count) end
    local text = table.concat(largest, ' ')
    if text ~= before then redis.call('HSET', key, name, text) end
    bytes = bytes + #text - (before and #before or -#name - FIELD_BYTES)
    if not before and name ~= row.other and string.sub(name, 1, 1) == 'r' then routes = routes + 1 end
  end
  if is_new then redis.call('PEXPIRE', key, whole(life * 1000)) end
  return bytes, routes
end

local new_hours = raise(HOURS, row.hours, row.lives[1])
local new_day, routes = raise(DAY, row.day, row.lives[2])
-- The field "n" holds the number of routes.
if routes > 0 then redis.call('HSET', DAY, 'n', whole(tonumber(redis.call('HGET', DAY, 'n') or '0') + routes)) end
return { new_hours, new_day }
