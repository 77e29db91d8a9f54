-- Forgets keys whose retention is over, with all their traces, and what has run out beside them.
-- KEYS     names of the indexes: by age, by end, ended keys, ended families, cut-offs, self-service, last use, standings
-- ARGV     now, end before which keys are forgotten, how many at most, prefixes: of records, owner indexes, hashes, uses by role, the same of unmigrated keys
-- Returns  how many keys
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
-- A key that has expired by itself needs no end any more.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ENDED, '-inf', now, 'LIMIT', 0, limit)) do
  redis.call('HDEL', STANDINGS, id)
  redis.call('ZREM', ENDED, id)
end
redis.call('ZREMRANGEBYSCORE', SELF_SERVICE, '-inf', now)
redis.call('ZREMRANGEBYSCORE', FAMILIES, '-inf', now)
local cuts = redis.call('HGETALL', CUT_OFFS)
for i = 1, #cuts, 2 do
  if tonumber(string.match(cuts[i + 1], ' (%d+)$')) <= tonumber(now) then redis.call('HDEL', CUT_OFFS, cuts[i]) end
end
return #ids
