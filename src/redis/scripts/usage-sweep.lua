-- Forgets families whose usage is past its retention.
-- KEYS     subjects, owners, last days
-- ARGV     the first day that is kept, the maximum number of families
-- Returns  the number of forgotten families
local SUBJECTS, OWNERS, SEEN = KEYS[1], KEYS[2], KEYS[3]
local families = redis.call('ZRANGEBYSCORE', SEEN, '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, family in ipairs(families) do
  local owner = redis.call('HGET', OWNERS, family)
  if owner then redis.call('ZREM', SUBJECTS, owner .. '\0' .. family) end
  redis.call('HDEL', OWNERS, family)
  redis.call('ZREM', SEEN, family)
end
return #families
