-- Takes over what another store has counted for a quota. Never lowers a counter.
-- KEYS[1]  the counter, as in quota.lua
-- ARGV     start of the window in milliseconds, used units with those of leases, NumericDate from which a new counter is not needed,
--          the limit of the last step (0: not known)
-- Returns  1 if the counter counts this window, 0 if it counts a later one
local KEY, window, used = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(redis.call('TIME')[1])
local function whole(number) return string.format('%.0f', number) end

local limit = whole(tonumber(ARGV[4]))
local stored, counted, leased, known, others = -1, 0, 0, 0, {}
local fields = redis.call('HGETALL', KEY)
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'window' then stored = tonumber(value) or -1
  elseif name == 'used' then counted = tonumber(value) or 0
  elseif name == 'limit' then known = tonumber(value) or 0
  elseif name ~= 'reported' then
    others[#others + 1] = name
    if string.sub(name, 1, 2) == 'l:' then leased = leased + tonumber(string.match(value, '^%d+') or '0') end
  end
end
-- A damaged counter, as in quota.lua.
if not (stored < 2 ^ 43 and counted < 2 ^ 53) then stored = -1 end
if stored > window then return 0 end
if stored == window then
  if used - leased > counted then redis.call('HSET', KEY, 'used', whole(used - leased)) end
  if known == 0 then redis.call('HSET', KEY, 'limit', limit) end
  return 1
end
redis.call('HSET', KEY, 'window', whole(window), 'used', whole(used), 'reported', '0', 'limit', limit)
redis.call('PEXPIRE', KEY, whole(math.max(1, tonumber(ARGV[3]) - now) * 1000))
for _, name in ipairs(others) do redis.call('HDEL', KEY, name) end
return 1
