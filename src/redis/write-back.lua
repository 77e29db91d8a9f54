-- Gives a store that has lost writes back what an instance knows, where it does not know it, or something newer, itself.
-- KEYS     standings, ended, families, cut-offs, feed, sequence; then, for each entry, its record's name (any, where it is no key)
-- ARGV     feed length; then, for each entry, its text for the feed and its parts as JSON:
--          {k: key id, v: version, x: expires}, {f: family, u: until} or {c: field, b: before, u: until}
-- Returns  for each key of which the store knows something newer: its place in the list
local STANDINGS, ENDED, FAMILIES, CUT_OFFS, FEED, SEQUENCE = unpack(KEYS, 1, 6)
local function whole(number) return string.format('%.0f', number) end
local function tell(entry)
  redis.call('XADD', FEED, 'MAXLEN', '~', ARGV[1], '*', 's', whole(redis.call('INCR', SEQUENCE)), 'e', entry)
end

local newer = {}
for i = 2, #ARGV, 2 do
  local text, entry = ARGV[i], cjson.decode(ARGV[i + 1])
  local place = i / 2
  if entry.k then
    local known = redis.call('HGET', STANDINGS, entry.k)
    local known_version = known and tonumber(cjson.decode(known)[3]) or 0
    local record = redis.call('GET', KEYS[6 + place])
    local record_version = record and tonumber(cjson.decode(record).v) or 0
    if record_version > entry.v then
      newer[#newer + 1] = place
    elseif known_version < entry.v then
      redis.call('HSET', STANDINGS, entry.k, text)
      redis.call('ZADD', ENDED, whole(entry.x), entry.k)
      tell(text)
    end
  elseif entry.f then
    local known = redis.call('ZSCORE', FAMILIES, entry.f)
    if not known or tonumber(known) < entry.u then
      redis.call('ZADD', FAMILIES, whole(entry.u), entry.f)
      tell(text)
    end
  else
    local known = redis.call('HGET', CUT_OFFS, entry.c)
    local before = known and tonumber(string.match(known, '^%d+')) or 0
    if before < entry.b then
      redis.call('HSET', CUT_OFFS, entry.c, whole(entry.b) .. ' ' .. whole(entry.u))
      tell(text)
    end
  end
end
return newer
