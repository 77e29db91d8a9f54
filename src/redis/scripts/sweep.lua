-- Removes keys whose retention is over, with all their traces, and other entries that have run out.
-- KEYS     indexes: by age, by end, ended keys, ended families, cut-offs, self-service, last use, standings, counts, forgotten, overrides, overrides by end
-- ARGV     time before which entries can be removed, retention of records, limit of each kind, prefixes of: records, owner indexes, hashes, uses by role, uses of unmigrated keys;
--          then the fields of cut-offs to check
-- Returns  the number of removed keys, and the largest number among the other kinds
local BY_AGE, BY_END, ENDED, FAMILIES, CUT_OFFS, SELF_SERVICE, LAST_USED, STANDINGS, COUNTS, FORGOTTEN, OVERRIDES, OVERRIDES_BY_END = unpack(KEYS)
local limit = ARGV[3]
local function whole(number) return string.format('%.0f', number) end
-- An instance whose clock is ahead must not remove entries that other instances need.
local before = math.min(tonumber(ARGV[1]), tonumber(redis.call('TIME')[1]))
local now, ended_before = whole(before), whole(before - tonumber(ARGV[2]))
if before > tonumber(redis.call('GET', FORGOTTEN) or 0) then redis.call('SET', FORGOTTEN, now) end
local function uncount(field, removed)
  local counted = removed > 0 and redis.call('HGET', COUNTS, field)
  if counted then redis.call('HSET', COUNTS, field, whole(tonumber(counted) - removed)) end
end

local ids = redis.call('ZRANGEBYSCORE', BY_END, '-inf', '(' .. ended_before, 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  local stored = redis.call('GET', ARGV[4] .. id)
  local record = stored and cjson.decode(stored) or {}
  if record.o then redis.call('ZREM', ARGV[5] .. record.o, id) end
  if record.l then
    redis.call('DEL', ARGV[6] .. record.l[1], ARGV[6] .. record.l[2])
    redis.call('ZREM', ARGV[7] .. record.r, id)
    redis.call('ZREM', ARGV[8] .. record.r, id)
  end
  redis.call('DEL', ARGV[4] .. id)
  uncount('standings', redis.call('HDEL', STANDINGS, id))
  for _, index in ipairs({ BY_AGE, BY_END, ENDED, SELF_SERVICE, LAST_USED }) do redis.call('ZREM', index, id) end
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
for i = 9, #ARGV do
  local cut = redis.call('HGET', CUT_OFFS, ARGV[i])
  if cut and tonumber(string.match(cut, ' (%d+)$')) <= before then uncount('cut_offs', redis.call('HDEL', CUT_OFFS, ARGV[i])) end
end
-- Removes last uses of keys whose records were lost, which nothing else would find. The clock selects a few at a time.
local uses = redis.call('ZCARD', LAST_USED)
local from = uses > 0 and tonumber(redis.call('TIME')[2]) % uses or 0
for _, id in ipairs(redis.call('ZRANGE', LAST_USED, from, from + 99)) do
  if redis.call('EXISTS', ARGV[4] .. id) == 0 then redis.call('ZREM', LAST_USED, id) end
end
return { #ids, most }
