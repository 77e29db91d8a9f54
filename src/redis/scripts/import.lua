-- Writes the V1 keys that do not exist yet, and one audit event if there was any.
-- KEYS     sequence, by age, by end, self-service, audit, newest date, newest uncut date, cut-offs, freeze, by family; then, for each record: its record, its owner's index, its hash,
--          the uses of its role, its alias, the uses of unmigrated keys of its role, the active and the overlapping keys of its owner
-- ARGV     the records as JSON, in the form of commit.lua; the audit event
-- Returns  the id of the audit event ("" none); then for each record 1 if it was written, 0 if it or its hash existed; or {"frozen", until}
-- @include new-record.part.lua
local SEQUENCE, BY_AGE, BY_END, SELF_SERVICE, AUDIT, NEWEST, NEWEST_UNCUT, CUT_OFFS, FREEZE, BY_FAMILY = unpack(KEYS, 1, 10)
-- As in commit.lua: a freeze does not apply if the clock steps back behind its start. The instance that dated it may be two seconds ahead.
local frozen_from, frozen_until = string.match(redis.call('GET', FREEZE) or '', '^(%d+) (%d+)$')
local seconds = tonumber(redis.call('TIME')[1])
if frozen_from and seconds >= tonumber(frozen_from) - 2 and seconds < tonumber(frozen_until) then
  return { 'frozen', frozen_until }
end
local reply, any_written = { '' }, false
-- No key was created yet, so the newest date is known to be 0.
if redis.call('EXISTS', SEQUENCE) == 0 then
  for _, name in ipairs({ NEWEST, NEWEST_UNCUT }) do redis.call('SET', name, 0, 'NX') end
end
for i, put in ipairs(cjson.decode(ARGV[1])) do
  local at = 11 + 8 * (i - 1)
  if redis.call('EXISTS', KEYS[at], KEYS[at + 2], KEYS[at + 4]) > 0 then
    reply[i + 1] = 0
  else
    redis.call('SET', KEYS[at], put.text, 'EXAT', whole(put.forgetAt))
    redis.call('SET', KEYS[at + 2], put.id, 'EXAT', whole(put.forgetAt))
    redis.call('SET', KEYS[at + 4], put.id, 'EXAT', whole(put.forgetAt))
    index_record(SEQUENCE, BY_AGE, BY_END, BY_FAMILY, KEYS[at + 1], SELF_SERVICE, put)
    if put.owned then count_until(KEYS[at + 6], put.id, put.activeUntil) end
    for _, uses in ipairs({ KEYS[at + 3], KEYS[at + 5] }) do redis.call('ZADD', uses, 'NX', 0, put.id) end
    date_record(NEWEST, NEWEST_UNCUT, CUT_OFFS, put)
    reply[i + 1] = 1
    any_written = true
  end
end
if any_written then reply[1] = redis.call('XADD', AUDIT, '*', 'event', ARGV[2]) end
return reply
