-- Removes keys whose retention is over, with all their traces, and other entries that have run out.
-- KEYS     indexes: by age, by end, ended keys, ended families, cut-offs, self-service, last use, standings, counts, forgotten, overrides, overrides by end, by family;
--          then, for each key: its record, its owner's index, its hash, the uses of its role, its alias, the uses of unmigrated keys of its role, the active and the overlapping keys of its owner;
--          then, for each use to check, the record of its key
-- ARGV     time before which entries can be removed, retention of records, limit of each kind, and as JSON:
--          keys [[id, text of the record, family ("" unknown)]], uses [id], cutOffs [field]
-- Returns  the number of removed keys, and the largest number among the other kinds
local BY_AGE, BY_END, ENDED, FAMILIES, CUT_OFFS, SELF_SERVICE, LAST_USED, STANDINGS, COUNTS, FORGOTTEN, OVERRIDES, OVERRIDES_BY_END, BY_FAMILY = unpack(KEYS, 1, 13)
local FIRST_RECORD, NAMES = 14, 8
local limit, found = ARGV[3], cjson.decode(ARGV[4])
local function whole(number) return string.format('%.0f', number) end
-- An instance whose clock is ahead must not remove entries that other instances need.
local before = math.min(tonumber(ARGV[1]), tonumber(redis.call('TIME')[1]))
local now, ended_before = whole(before), before - tonumber(ARGV[2])
if before > tonumber(redis.call('GET', FORGOTTEN) or 0) then redis.call('SET', FORGOTTEN, now) end
local function uncount(field, removed)
  local counted = removed > 0 and redis.call('HGET', COUNTS, field)
  if counted then redis.call('HSET', COUNTS, field, whole(tonumber(counted) - removed)) end
end

local function remove_key(id, text, family, first)
  local ended = redis.call('ZSCORE', BY_END, id)
  -- The names are those of the record that the caller has read.
  if not ended or tonumber(ended) >= ended_before or (redis.call('GET', KEYS[first]) or '') ~= text then return 0 end
  redis.call('DEL', KEYS[first], KEYS[first + 2], KEYS[first + 4])
  local place = redis.call('ZSCORE', BY_AGE, id)
  if place then redis.call('ZREM', BY_FAMILY, family .. string.format(':%016.0f', tonumber(place))) end
  for _, index in ipairs({ KEYS[first + 1], KEYS[first + 3], KEYS[first + 5], KEYS[first + 6], KEYS[first + 7] }) do redis.call('ZREM', index, id) end
  uncount('standings', redis.call('HDEL', STANDINGS, id))
  for _, index in ipairs({ BY_AGE, BY_END, ENDED, SELF_SERVICE, LAST_USED }) do redis.call('ZREM', index, id) end
  return 1
end
local removed = 0
for i, key in ipairs(found.keys) do
  removed = removed + remove_key(key[1], key[2], key[3], FIRST_RECORD + NAMES * (i - 1))
end
local most = 0
local function expired(index)
  local members = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, limit)
  most = math.max(most, #members)
  return members
end
-- An expired key needs no restriction.
for _, id in ipairs(expired(ENDED)) do
  uncount('standings', redis.call('HDEL', STANDINGS, id))
  redis.call('ZREM', ENDED, id)
end
for _, field in ipairs(expired(OVERRIDES_BY_END)) do
  uncount('overrides', redis.call('HDEL', OVERRIDES, field))
  redis.call('ZREM', OVERRIDES_BY_END, field)
end
for _, member in ipairs(expired(SELF_SERVICE)) do redis.call('ZREM', SELF_SERVICE, member) end
for _, family in ipairs(expired(FAMILIES)) do uncount('families', redis.call('ZREM', FAMILIES, family)) end
for _, field in ipairs(found.cutOffs) do
  local cut = redis.call('HGET', CUT_OFFS, field)
  if cut and tonumber(string.match(cut, ' (%d+)$')) <= before then uncount('cut_offs', redis.call('HDEL', CUT_OFFS, field)) end
end
-- Removes last uses of keys whose records were lost, which nothing else would find.
local first_use = FIRST_RECORD + NAMES * #found.keys
for i, id in ipairs(found.uses) do
  if redis.call('EXISTS', KEYS[first_use + i - 1]) == 0 then redis.call('ZREM', LAST_USED, id) end
end
return { removed, most }
