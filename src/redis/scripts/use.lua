-- Records the last use of keys that have a record. A member without a record would stay for ever.
-- KEYS     last use; then, for each key: its record, the uses of its role, the uses of unmigrated keys of its role (placeholders for a V2 key)
-- ARGV     for each key: its id, NumericDate
for i = 1, #ARGV, 2 do
  local at = 2 + 3 * (i - 1) / 2
  local id, used = ARGV[i], ARGV[i + 1]
  if redis.call('EXISTS', KEYS[at]) == 1 then
    redis.call('ZADD', KEYS[1], 'GT', used, id)
    for which = 1, 2 do redis.call('ZADD', KEYS[at + which], 'XX', 'GT', used, id) end
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
