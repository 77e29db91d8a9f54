-- Writes whole records of another store, unless the stored records have changed since they were read.
-- KEYS     indexes, in the order below; then, for each record: its record, its owner's index, its hash, the uses of its role, its alias,
--          the uses of unmigrated keys of its role, the active and the overlapping keys of its owner; then the former hashes of each record
-- ARGV     feed length; the records as JSON, in the form of commit.lua, each with `replaces`: the stored text (absent: none), and with
--          `formerHashes`: the number of its former hashes
-- Returns  for each record 1 if it was written, 0 if the stored record is another one, -1 if another key has its hash
-- @include new-record.part.lua
-- @include standings.part.lua
local SEQUENCE, BY_AGE, BY_END, ENDED, SELF_SERVICE, STANDINGS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local FEED, FEED_SEQUENCE, COUNTS, NEWEST, NEWEST_UNCUT, CUT_OFFS = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local BY_FAMILY = KEYS[13]
local FIRST_RECORD, NAMES = 14, 8
local function publish(entry)
  local position = redis.call('INCR', FEED_SEQUENCE)
  redis.call('XADD', FEED, 'MAXLEN', '~', ARGV[1], '*', 's', whole(position), 'e', entry)
end
local function is_of_another(hash_name, id)
  local owner = redis.call('GET', hash_name)
  return owner and owner ~= id
end

local added_legacy, changed_legacy = false, {}
local function write(put, first)
  local record, owner_index, hash, uses, alias, unmigrated, active, overlapping = unpack(KEYS, first, first + NAMES - 1)
  if (redis.call('GET', record) or nil) ~= put.replaces then return 0 end
  if put.hashed and (is_of_another(hash, put.id) or is_of_another(alias, put.id)) then return -1 end
  redis.call('SET', record, put.text, 'EXAT', whole(put.forgetAt))
  if put.hashed then
    redis.call('SET', hash, put.id, 'EXAT', whole(put.forgetAt))
    redis.call('SET', alias, put.id, 'EXAT', whole(put.forgetAt))
    redis.call('ZADD', uses, 'NX', 0, put.id)
    if put.migrated then redis.call('ZREM', unmigrated, put.id)
    else redis.call('ZADD', unmigrated, 'NX', 0, put.id) end
    if put.replaces then table.insert(changed_legacy, put.id) else added_legacy = true end
  end
  if not put.replaces then
    date_record(NEWEST, NEWEST_UNCUT, CUT_OFFS, put)
    index_record(SEQUENCE, BY_AGE, BY_END, BY_FAMILY, owner_index, SELF_SERVICE, put)
  elseif not put.selfService then redis.call('ZREM', SELF_SERVICE, put.id)
  end
  if put.owned then
    count_until(active, put.id, put.activeUntil)
    count_until(overlapping, put.id, put.overlapUntil)
  end
  if put.ended or redis.call('HEXISTS', STANDINGS, put.id) == 1 then
    publish(restrict(ENDED, STANDINGS, COUNTS, put.id, put.expiresAt, put.entry))
  end
  return 1
end

local puts, outcomes = cjson.decode(ARGV[2]), {}
local next_hash = FIRST_RECORD + NAMES * #puts
for i, put in ipairs(puts) do
  outcomes[i] = write(put, FIRST_RECORD + NAMES * (i - 1))
  for hash = next_hash, next_hash + put.formerHashes - 1 do
    if outcomes[i] == 1 and redis.call('GET', KEYS[hash]) == put.id then redis.call('DEL', KEYS[hash]) end
  end
  next_hash = next_hash + put.formerHashes
end
-- Instances cache the records of V1 keys, and that a V1 key is unknown.
if added_legacy then publish('["l"]') end
if #changed_legacy > 0 then publish('["l","' .. table.concat(changed_legacy, '","') .. '"]') end
return outcomes
