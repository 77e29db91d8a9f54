-- Detects that single Redis keys of the registry are missing (an eviction, a DEL). The feed does not show such a loss.
-- KEYS     standings, ended families, cut-offs, counts, epoch, newest date, newest uncut date, migration, sequence of keys, overrides
-- Returns  Redis's clock in ms, when entries were last found missing ("" never), the feed entry of the phase ("" none)
local STANDINGS, FAMILIES, CUT_OFFS, COUNTS, EPOCH, NEWEST, NEWEST_UNCUT, MIGRATION, SEQUENCE, OVERRIDES = unpack(KEYS)
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')

local missed = redis.call('HGET', COUNTS, 'missed') or ''
if redis.call('EXISTS', EPOCH) == 1 then
  local present = {
    standings = redis.call('HLEN', STANDINGS),
    families = redis.call('ZCARD', FAMILIES),
    cut_offs = redis.call('HLEN', CUT_OFFS),
    overrides = redis.call('HLEN', OVERRIDES),
  }
  local differs = false
  for field, number in pairs(present) do
    local counted = tonumber(redis.call('HGET', COUNTS, field))
    -- An older version has counted no overrides.
    local uncounted = field == 'overrides' and not counted and number == 0
    if counted ~= number and not uncounted then differs = true end
  end
  local used = redis.call('EXISTS', SEQUENCE) == 1
  if differs then
    if used then missed = time[1] .. '.' .. time[2] end
    for field, number in pairs(present) do redis.call('HSET', COUNTS, field, whole(number)) end
    redis.call('HSET', COUNTS, 'missed', missed)
  end
  -- Keys may have been dated a few seconds ahead.
  for _, name in ipairs({ NEWEST, NEWEST_UNCUT }) do
    if redis.call('EXISTS', name) == 0 then redis.call('SET', name, used and whole(tonumber(time[1]) + 5) or 0) end
  end
end
return {
  whole(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  missed,
  redis.call('GET', MIGRATION) or '',
}
