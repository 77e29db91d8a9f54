-- The only write of the registry: checks the requirements of a change, then writes all of it.
-- KEYS[1..20] indexes, in the order below; then, for each record: its record, its owner's index, its hash, the uses of its
--             role, its alias, the uses of unmigrated keys of its role,
--             the active and the overlapping keys of its owner (unused names are placeholders);
--             the call to remember; hashes to delete
-- ARGV[1]     the change as JSON: now, within (seconds), living {family, cutOffs, issuedAt}, selfServiceBelow, ownedBelow {as, below} (of the owner of the first record), countUntil, beyondIssued,
--             put [{id, family, version, text, issuedAt, expiresAt, forgetAt, ownerCut, selfService, owned, activeUntil, overlapUntil, hashed, migrated, ended, entry, lost}], call {text, until}, endFamily, cutOff,
--             endKey {id, expiresAt, entry}, endEntry, override {field, entry, replaces, above, below, keep, expiresAt}, migration {from, to}, feed [entry],
--             stopsWhileFrozen, freeze (text; "" ends it), audit [text], feedLength, newEpoch; an entry is the text of a feed entry
--             lost is set for a record that the store has lost, to the restriction of its key by which it was decided ("" none)
-- Returns     {"committed", id of the last audit event ("" none), version of the override ("" none)}, {"conflict"}, {"ended", before}, {"full"}, {"owner_full"}, {"too_many_overrides"}, {"clock", ms},
--             {"frozen", until} or {"early", before}; only the first has written anything
-- @include new-record.part.lua
-- @include standings.part.lua
local SEQUENCE, BY_AGE, BY_END, ENDED, FAMILIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local CUT_OFFS, SELF_SERVICE, AUDIT = KEYS[6], KEYS[7], KEYS[8]
local STANDINGS, FEED, FEED_SEQUENCE, EPOCH, MIGRATION = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local NEWEST, COUNTS, NEWEST_UNCUT = KEYS[14], KEYS[15], KEYS[16]
local OVERRIDES, OVERRIDES_BY_END, FREEZE, BY_FAMILY = KEYS[17], KEYS[18], KEYS[19], KEYS[20]
local FIRST_RECORD, NAMES = 21, 8

-- Redis does not roll back a failed script, so wrong types are detected before the first write.
for kind, list in pairs({ string = { SEQUENCE, FEED_SEQUENCE, EPOCH, MIGRATION, NEWEST, NEWEST_UNCUT, FREEZE }, stream = { AUDIT, FEED }, hash = { CUT_OFFS, STANDINGS, COUNTS, OVERRIDES }, zset = { BY_AGE, BY_END, ENDED, FAMILIES, SELF_SERVICE, OVERRIDES_BY_END, BY_FAMILY } }) do
  for _, key in ipairs(list) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found) end
  end
end

local change = cjson.decode(ARGV[1])
local function name_of(i, which) return KEYS[FIRST_RECORD + NAMES * (i - 1) + which] end
local function record_name(i) return name_of(i, 0) end
local function owner_index(i) return name_of(i, 1) end
local function hash_name(i) return name_of(i, 2) end
local call_name = KEYS[FIRST_RECORD + NAMES * #change.put]

-- Redis's clock dates everything. A change that was decided by another clock, or too long ago, must be decided again.
local time = redis.call('TIME')
local seconds = tonumber(time[1])
if math.abs(change.now - seconds) > change.within then
  return { 'clock', whole(seconds * 1000 + math.floor(tonumber(time[2]) / 1000)) }
end

-- A freeze does not apply if the clock steps back behind its start. A smaller step prolongs it by that step.
local frozen_from, frozen_until = string.match(redis.call('GET', FREEZE) or '', '^(%d+) (%d+)$')
if change.stopsWhileFrozen and frozen_from and seconds >= tonumber(frozen_from) - change.within and seconds < tonumber(frozen_until) then
  return { 'frozen', frozen_until }
end

local override, override_version = change.override, nil
if override then
  local stored = redis.call('HGET', OVERRIDES, override.field)
  local version = stored and tonumber(string.match(stored, '^%["o",(%d+),')) or 0
  if version ~= override.replaces then return { 'conflict' } end
  if not stored and redis.call('HLEN', OVERRIDES) >= override.below then return { 'too_many_overrides' } end
  local ms = seconds * 1000 + math.floor(tonumber(time[2]) / 1000)
  override_version = math.max(version + 1, override.above + 1, ms)
end

local living = change.living
if living then
  if redis.call('ZSCORE', FAMILIES, living.family) then return { 'ended' } end
  local before = 0
  for _, field in ipairs(living.cutOffs) do
    local cut = redis.call('HGET', CUT_OFFS, field)
    if cut then before = math.max(before, tonumber(string.match(cut, '^%d+'))) end
  end
  if before > living.issuedAt then return { 'ended', whole(before) } end
end
if change.selfServiceBelow then
  if redis.call('ZCOUNT', SELF_SERVICE, '(' .. whole(change.now), change.countUntil) >= change.selfServiceBelow then
    return { 'full' }
  end
end
local owned = change.ownedBelow
if owned then
  local owned_index = name_of(1, owned.as == 'active' and 6 or 7)
  if redis.call('ZCOUNT', owned_index, '(' .. whole(change.now), change.countUntil) >= owned.below then
    return { 'owner_full' }
  end
end
if change.beyondIssued then
  local stored = redis.call('HGET', CUT_OFFS, change.cutOff.field)
  local before = stored and tonumber(string.match(stored, '^%d+')) or 0
  -- If the newest date is lost, keys may have been dated a few seconds ahead.
  local unknown = redis.call('EXISTS', EPOCH) == 1 and seconds + 5 or 0
  -- Keys of other owners that their own cut-offs date ahead must not move this owner's cut-off ahead.
  local dated = string.sub(change.cutOff.field, 1, 6) == 'owner:' and NEWEST_UNCUT or NEWEST
  local least = math.max(seconds, tonumber(redis.call('GET', dated) or unknown), before) + 1
  if change.cutOff.before < least then return { 'early', whole(least) } end
end
for i, put in ipairs(change.put) do
  local stored = redis.call('GET', record_name(i))
  -- A record without a version is damaged and cannot be replaced.
  local version = stored and (tonumber(cjson.decode(stored).v) or -1) or 0
  -- A record that is entered again keeps its version.
  if version ~= (put.lost and 0 or put.version - 1) then return { 'conflict' } end
  if put.lost and put.lost ~= (redis.call('HGET', STANDINGS, put.id) or '') then return { 'conflict' } end
  if put.hashed and (put.version == 1 or put.lost) and redis.call('EXISTS', hash_name(i), name_of(i, 4)) > 0 then return { 'conflict' } end
end
if change.call and redis.call('EXISTS', call_name) == 1 then return { 'conflict' } end
if change.migration and (redis.call('GET', MIGRATION) or nil) ~= change.migration.from then return { 'conflict' } end

-- The epoch starts with the first write. Instances detect by its id that the store has lost its data.
if redis.call('EXISTS', EPOCH) == 0 then
  if redis.call('EXISTS', COUNTS) == 0 then redis.call('HSET', COUNTS, 'standings', 0, 'families', 0, 'cut_offs', 0) end
  -- If imports have created keys before, their dates may be lost.
  local newest = redis.call('EXISTS', SEQUENCE) == 1 and whole(seconds + 5) or 0
  for _, name in ipairs({ NEWEST, NEWEST_UNCUT }) do redis.call('SET', name, newest, 'NX') end
  redis.call('SET', EPOCH, change.newEpoch .. ' ' .. whole(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)))
end
local function publish(entry)
  local position = redis.call('INCR', FEED_SEQUENCE)
  redis.call('XADD', FEED, 'MAXLEN', '~', change.feedLength, '*', 's', whole(position), 'e', entry)
end

for i, put in ipairs(change.put) do
  redis.call('SET', record_name(i), put.text, 'EXAT', whole(put.forgetAt))
  if put.hashed then
    redis.call('SET', hash_name(i), put.id, 'EXAT', whole(put.forgetAt))
    redis.call('SET', name_of(i, 4), put.id, 'EXAT', whole(put.forgetAt))
    redis.call('ZADD', name_of(i, 3), 'NX', 0, put.id)
    if put.migrated then redis.call('ZREM', name_of(i, 5), put.id)
    else redis.call('ZADD', name_of(i, 5), 'NX', 0, put.id) end
  end
  if put.version == 1 or put.lost then
    date_record(NEWEST, NEWEST_UNCUT, CUT_OFFS, put)
    index_record(SEQUENCE, BY_AGE, BY_END, BY_FAMILY, owner_index(i), SELF_SERVICE, put)
  elseif not put.selfService then redis.call('ZREM', SELF_SERVICE, put.id)
  end
  if put.owned then
    count_until(name_of(i, 6), put.id, put.activeUntil)
    count_until(name_of(i, 7), put.id, put.overlapUntil)
  end
  -- An unrestricted key is published only if it was restricted before. The entry stays, so that no older entry applies again.
  if put.ended or redis.call('HEXISTS', STANDINGS, put.id) == 1 then
    publish(restrict(ENDED, STANDINGS, COUNTS, put.id, put.expiresAt, put.entry))
  end
end
for i = FIRST_RECORD + NAMES * #change.put + 1, #KEYS do redis.call('DEL', KEYS[i]) end
if change.endEntry then publish(change.endEntry) end
if change.endKey then restrict(ENDED, STANDINGS, COUNTS, change.endKey.id, change.endKey.expiresAt, change.endKey.entry) end
if change.migration then
  redis.call('SET', MIGRATION, change.migration.to)
  publish(change.migration.to)
end
for _, entry in ipairs(change.feed) do publish(entry) end
if change.call then redis.call('SET', call_name, change.call.text, 'EXAT', whole(change.call['until'])) end
if change.endFamily then
  count(COUNTS, 'families', redis.call('ZADD', FAMILIES, 'GT', whole(change.endFamily['until']), change.endFamily.family))
end
if change.cutOff then
  local cut = redis.call('HGET', CUT_OFFS, change.cutOff.field)
  local before = cut and tonumber(string.match(cut, '^%d+')) or 0
  if change.cutOff.before > before then
    local text = whole(change.cutOff.before) .. ' ' .. whole(change.cutOff['until'])
    count(COUNTS, 'cut_offs', redis.call('HSET', CUT_OFFS, change.cutOff.field, text))
  end
end
if change.freeze == '' then redis.call('DEL', FREEZE)
elseif change.freeze then redis.call('SET', FREEZE, change.freeze, 'EXAT', string.match(change.freeze, '%d+$')) end
if override then
  local text = string.gsub(override.entry, '^%["o",0,', '["o",' .. whole(override_version) .. ',')
  if redis.call('HEXISTS', COUNTS, 'overrides') == 0 then redis.call('HSET', COUNTS, 'overrides', whole(redis.call('HLEN', OVERRIDES))) end
  count(COUNTS, 'overrides', redis.call('HSET', OVERRIDES, override.field, text))
  -- A cleared override ends now.
  local ends_at = override.expiresAt or seconds
  if override.keep then redis.call('ZADD', OVERRIDES_BY_END, whole(ends_at + override.keep), override.field)
  else redis.call('ZREM', OVERRIDES_BY_END, override.field) end
  publish(text)
end
local event_id = ''
for _, text in ipairs(change.audit) do event_id = redis.call('XADD', AUDIT, '*', 'event', text) end
return { 'committed', event_id, override and whole(override_version) or '' }
