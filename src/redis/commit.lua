-- The registry's one write: checks what a change requires, then writes all of it.
-- KEYS[1..13] names of the indexes, in the order below; then, for each record: its own name, its owner's index, the name of its hash,
--             the uses of its role, the name of its alias and the uses of unmigrated keys of its role (any names where there are none);
--             the name of the call to remember; names of hashes to forget
-- ARGV[1]     the change as JSON: now, living {family, cutOffs, issuedAt}, selfServiceBelow, selfServiceUntil,
--             put [{id, version, text, expiresAt, forgetAt, selfService, owned, hashed, migrated, ended, entry}], call {text, until}, endFamily, cutOff,
--             endEntry, migration {from, to}, tell [entry], audit [text], feedLength, newEpoch; entries are texts for the feed
-- Returns     {"committed"}, {"conflict"}, {"ended", before} or {"full"}; all but the first have written nothing
local SEQUENCE, BY_AGE, BY_END, ENDED, FAMILIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local CUT_OFFS, SELF_SERVICE, AUDIT = KEYS[6], KEYS[7], KEYS[8]
local STANDINGS, FEED, FEED_SEQUENCE, EPOCH, MIGRATION = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local FIRST_RECORD, NAMES = 14, 6

-- A script is not undone: what would fail half-way is looked at first.
for kind, list in pairs({ stream = { AUDIT, FEED }, hash = { CUT_OFFS, STANDINGS }, zset = { BY_AGE, BY_END, ENDED, FAMILIES, SELF_SERVICE } }) do
  for _, key in ipairs(list) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found) end
  end
end

local change = cjson.decode(ARGV[1])
-- Whole numbers up to 2^53: tostring would write large ones as 1.79e+15.
local function whole(number) return string.format('%.0f', number) end
local function name_of(i, which) return KEYS[FIRST_RECORD + NAMES * (i - 1) + which] end
local function record_name(i) return name_of(i, 0) end
local function owner_index(i) return name_of(i, 1) end
local function hash_name(i) return name_of(i, 2) end
local call_name = KEYS[FIRST_RECORD + NAMES * #change.put]

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
  if redis.call('ZCOUNT', SELF_SERVICE, '(' .. whole(change.now), change.selfServiceUntil) >= change.selfServiceBelow then
    return { 'full' }
  end
end
for i, put in ipairs(change.put) do
  local stored = redis.call('GET', record_name(i))
  -- A record without a version is damaged: nobody replaces it.
  local version = stored and (tonumber(cjson.decode(stored).v) or -1) or 0
  if version ~= put.version - 1 then return { 'conflict' } end
  if put.hashed and put.version == 1 and redis.call('EXISTS', hash_name(i), name_of(i, 4)) > 0 then return { 'conflict' } end
end
if change.call and redis.call('EXISTS', call_name) == 1 then return { 'conflict' } end
if change.migration and (redis.call('GET', MIGRATION) or nil) ~= change.migration.from then return { 'conflict' } end

-- The store's memory begins with its first write: instances tell by its name that it has lost what it knew.
if redis.call('EXISTS', EPOCH) == 0 then
  local time = redis.call('TIME')
  redis.call('SET', EPOCH, change.newEpoch .. ' ' .. whole(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)))
end
local function tell(entry)
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
  if put.version == 1 then
    local sequence = redis.call('INCR', SEQUENCE)
    redis.call('ZADD', BY_AGE, sequence, put.id)
    redis.call('ZADD', BY_END, whole(put.expiresAt), put.id)
    if put.owned then redis.call('ZADD', owner_index(i), sequence, put.id) end
    if put.selfService then redis.call('ZADD', SELF_SERVICE, whole(put.expiresAt), put.id) end
  elseif not put.selfService then redis.call('ZREM', SELF_SERVICE, put.id)
  end
  -- That nothing ends a key is news only where something did; there it stays, so that no older word counts again.
  if put.ended or redis.call('HEXISTS', STANDINGS, put.id) == 1 then
    redis.call('ZADD', ENDED, whole(put.expiresAt), put.id)
    redis.call('HSET', STANDINGS, put.id, put.entry)
    tell(put.entry)
  end
end
for i = FIRST_RECORD + NAMES * #change.put + 1, #KEYS do redis.call('DEL', KEYS[i]) end
if change.endEntry then tell(change.endEntry) end
if change.migration then
  redis.call('SET', MIGRATION, change.migration.to)
  tell(change.migration.to)
end
for _, entry in ipairs(change.tell) do tell(entry) end
if change.call then redis.call('SET', call_name, change.call.text, 'EXAT', whole(change.call['until'])) end
if change.endFamily then
  redis.call('ZADD', FAMILIES, 'GT', whole(change.endFamily['until']), change.endFamily.family)
end
if change.cutOff then
  local cut = redis.call('HGET', CUT_OFFS, change.cutOff.field)
  local before = cut and tonumber(string.match(cut, '^%d+')) or 0
  if change.cutOff.before > before then
    redis.call('HSET', CUT_OFFS, change.cutOff.field, whole(change.cutOff.before) .. ' ' .. whole(change.cutOff['until']))
  end
end
for _, text in ipairs(change.audit) do redis.call('XADD', AUDIT, '*', 'event', text) end
return { 'committed' }
