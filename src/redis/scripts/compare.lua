-- Looks whether single names of the registry have gone (an eviction, a DEL): nothing else would tell, since the feed goes on.
-- KEYS     standings, ended families, cut-offs, counts, epoch, newest date, the same without those of owners' cut-offs, migration, sequence of keys
-- Returns  ms of the store's clock, when something was missed last ("" never), the phase's text ("" none)
local STANDINGS, FAMILIES, CUT_OFFS, COUNTS, EPOCH, NEWEST, NEWEST_UNCUT, MIGRATION, SEQUENCE = unpack(KEYS)
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')

local missed = redis.call('HGET', COUNTS, 'missed') or ''
if redis.call('EXISTS', EPOCH) == 1 then
  local there = {
    standings = redis.call('HLEN', STANDINGS),
    families = redis.call('ZCARD', FAMILIES),
    cut_offs = redis.call('HLEN', CUT_OFFS),
  }
  local differs = false
  for field, number in pairs(there) do
    if tonumber(redis.call('HGET', COUNTS, field)) ~= number then differs = true end
  end
  local used = redis.call('EXISTS', SEQUENCE) == 1
  if differs then
    if used then missed = time[1] .. '.' .. time[2] end
    for field, number in pairs(there) do redis.call('HSET', COUNTS, field, whole(number)) end
    redis.call('HSET', COUNTS, 'missed', missed)
  end
  -- Keys may have been dated a little ahead of now.
  for _, name in ipairs({ NEWEST, NEWEST_UNCUT }) do
    if redis.call('EXISTS', name) == 0 then redis.call('SET', name, used and whole(tonumber(time[1]) + 5) or 0) end
  end
end
return {
  whole(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  missed,
  redis.call('GET', MIGRATION) or '',
}
