-- Forgets keys whose retention is over, with all their traces, and what has run out beside them.
-- KEYS     names of the indexes: by age, by end, ended keys, ended families, cut-offs, self-service, last use, standings, counts, forgotten
-- ARGV     time before which all may be forgotten, retention of records, how many at most of each kind, prefixes: of records, owner indexes, hashes, uses by role, the same of unmigrated keys;
--          then fields of the cut-offs, to be looked at
-- Returns  how many keys, and how many of what there were most of beside them
local BY_AGE, BY_END, ENDED, FAMILIES, CUT_OFFS, SELF_SERVICE, LAST_USED, STANDINGS, COUNTS, FORGOTTEN = unpack(KEYS)
local limit = ARGV[3]
local function whole(number) return string.format('%.0f', number) end
-- An instance whose clock is ahead forgets nothing for the others.
local before = math.min(tonumber(ARGV[1]), tonumber(redis.call('TIME')[1]))
local now, ended_before = whole(before), whole(before - tonumber(ARGV[2]))
if before > tonumber(redis.call('GET', FORGOTTEN) or 0) then redis.call('SET', FORGOTTEN, now) end
local function uncount(field, gone)
  local counted = gone > 0 and redis.call('HGET', COUNTS, field)
  if counted then redis.call('HSET', COUNTS, field, whole(tonumber(counted) - gone)) end
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
local function over(index)
  local members = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, limit)
  most = math.max(most, #members)
  return members
end
-- A key that has expired by itself needs no end any more.
for _, id in ipairs(over(ENDED)) do
  uncount('standings', redis.call('HDEL', STANDINGS, id))
  redis.call('ZREM', ENDED, id)
end
for _, member in ipairs(over(SELF_SERVICE)) do redis.call('ZREM', SELF_SERVICE, member) end
for _, family in ipairs(over(FAMILIES)) do uncount('families', redis.call('ZREM', FAMILIES, family)) end
for i = 9, #ARGV do
  local cut = redis.call('HGET', CUT_OFFS, ARGV[i])
  if cut and tonumber(string.match(cut, ' (%d+)$')) <= before then uncount('cut_offs', redis.call('HDEL', CUT_OFFS, ARGV[i])) end
end
-- Last uses of keys whose records were lost: nothing else would ever name them. A few at a time, as the clock has it.
local uses = redis.call('ZCARD', LAST_USED)
local from = uses > 0 and tonumber(redis.call('TIME')[2]) % uses or 0
for _, id in ipairs(redis.call('ZRANGE', LAST_USED, from, from + 99)) do
  if redis.call('EXISTS', ARGV[4] .. id) == 0 then redis.call('ZREM', LAST_USED, id) end
end
return { #ids, most }
