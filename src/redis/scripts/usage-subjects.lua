-- Records families with usage, so that they can be listed.
-- KEYS  subjects, owners, last days
-- ARGV  the day, 1 if a listed family keeps its owner; then, for each family: its name, its owner
local day, keeps_owner = ARGV[1], ARGV[2] == '1'
local SUBJECTS, OWNERS, SEEN = KEYS[1], KEYS[2], KEYS[3]
for i = 3, #ARGV, 2 do
  local family, owner = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', OWNERS, family)
  if not before or (before ~= owner and not keeps_owner) then
    if before then redis.call('ZREM', SUBJECTS, before .. '\0' .. family) end
    redis.call('HSET', OWNERS, family, owner)
    redis.call('ZADD', SUBJECTS, 0, owner .. '\0' .. family)
  end
  redis.call('ZADD', SEEN, 'GT', day, family)
end
return 0
