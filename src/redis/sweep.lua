-- Forgets keys whose retention is over, with all their traces, and what has run out beside them.
-- KEYS     names of the indexes: by age, by end, ended keys, ended families, cut-offs, self-service, last use, standings
-- ARGV     now, end before which keys are forgotten, how many at most of each kind, prefixes: of records, owner indexes, hashes, uses by role,
--          the same of unmigrated keys; then fields of the cut-offs, to be looked at
-- Returns  how many keys, and how many of what there were most of beside them
local BY_AGE, BY_END, ENDED, FAMILIES, CUT_OFFS, SELF_SERVICE, LAST_USED, STANDINGS = unpack(KEYS)
local now, ended_before, limit = ARGV[1], ARGV[2], ARGV[3]

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
  redis.call('HDEL', STANDINGS, id)
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
  redis.call('HDEL', STANDINGS, id)
  redis.call('ZREM', ENDED, id)
end
for _, index in ipairs({ SELF_SERVICE, FAMILIES }) do
  for _, member in ipairs(over(index)) do redis.call('ZREM', index, member) end
end
for i = 9, #ARGV do
  local cut = redis.call('HGET', CUT_OFFS, ARGV[i])
  if cut and tonumber(string.match(cut, ' (%d+)$')) <= tonumber(now) then redis.call('HDEL', CUT_OFFS, ARGV[i]) end
end
return { #ids, most }
