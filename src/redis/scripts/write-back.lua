-- Restores entries that the store has lost and an instance knows. Entries about the same key are merged as in
-- core/revocation/revocation-view.ts. The key's record is corrected under a new version, so that a concurrent change must read
-- it again, and so that later entries of the key are newer.
-- KEYS     standings, ended, families, cut-offs, feed, sequence, counts, newest date, newest uncut date, overrides, overrides by end;
--          then, for each entry, its record (a placeholder for other entries)
-- ARGV     feed length, seconds for which cleared and expired overrides are kept; then the feed entries, which are JSON:
--          ["k", key id, version, expires, flags, superseded from], ["f", family, until], ["c", scope, subject, before, until]
--          or ["o", version, scope, subject, expires, content]
-- Returns  the number of entries that the store did not have
local STANDINGS, ENDED, FAMILIES, CUT_OFFS, FEED, SEQUENCE, COUNTS, NEWEST, NEWEST_UNCUT, OVERRIDES, OVERRIDES_BY_END = unpack(KEYS, 1, 11)
local FIRST_RECORD, FIRST_ENTRY = 12, 3
local REVOKED, DISABLED = 1, 2
local seconds = tonumber(redis.call('TIME')[1])
local function whole(number) return string.format('%.0f', number) end
local function count(field, added)
  local counted = added > 0 and redis.call('HGET', COUNTS, field)
  if counted then redis.call('HSET', COUNTS, field, whole(tonumber(counted) + added)) end
end
local function publish(text)
  redis.call('XADD', FEED, 'MAXLEN', '~', ARGV[1], '*', 's', whole(redis.call('INCR', SEQUENCE)), 'e', text)
end
local function revoked(flags) return flags % 2 >= REVOKED end
local function disabled(flags) return flags >= DISABLED end

local function write_key(entry, record_name)
  local id, version, expires, flags, not_after = entry[2], entry[3], entry[4], entry[5], entry[6]
  local text = redis.call('HGET', STANDINGS, id)
  local known = text and cjson.decode(text) or { 'k', id, 0, expires, 0, 0 }
  local stored = redis.call('GET', record_name)
  local record = stored and cjson.decode(stored)
  local store_version, store_disabled = known[3], disabled(known[5])
  local record_version = record and (record.h or record.v) or 0
  if record and record_version >= store_version then store_version, store_disabled = record_version, record.d == 1 end

  local is_revoked = revoked(flags) or revoked(known[5]) or (record and record.x ~= nil)
  local is_disabled = store_disabled
  if version > store_version then is_disabled = disabled(flags)
  elseif version == store_version then is_disabled = store_disabled or disabled(flags) end
  local ends = { not_after, known[6] }
  table.sort(ends)
  local end_of_overlap = ends[1] > 0 and ends[1] or ends[2]
  local new_version = math.max(version, store_version)

  local differs = record and ((is_revoked and record.x == nil) or is_disabled ~= (record.d == 1))
  if differs then new_version = new_version + 1 end
  if record and (differs or record_version < new_version) then
    record.v = record.v + 1
    record.h = new_version
    if is_revoked and record.x == nil then record.x = seconds end
    record.d = is_disabled and 1 or nil
    redis.call('SET', record_name, cjson.encode(record), 'KEEPTTL')
  end
  local merged = (is_revoked and REVOKED or 0) + (is_disabled and DISABLED or 0)
  if text and known[3] == new_version and known[5] == merged and known[6] == end_of_overlap then return 0 end
  local parts = { whole(new_version), whole(expires), whole(merged), whole(end_of_overlap) }
  local new_text = '["k",' .. cjson.encode(id) .. ',' .. table.concat(parts, ',') .. ']'
  count('standings', redis.call('HSET', STANDINGS, id, new_text))
  redis.call('ZADD', ENDED, whole(expires), id)
  publish(new_text)
  return 1
end

-- The higher version counts. Two primaries can give one version to different texts; then the text gets a version of its own.
local function write_override(entry, text)
  local version, field = entry[2], entry[3] .. ':' .. entry[4]
  local stored = redis.call('HGET', OVERRIDES, field)
  local stored_version = stored and tonumber(string.match(stored, '^%["o",(%d+),')) or 0
  if stored_version > version or stored == text then return 0 end
  if stored_version == version then
    version = version + 1
    text = string.gsub(text, '^%["o",%d+,', '["o",' .. whole(version) .. ',')
  end
  if redis.call('HEXISTS', COUNTS, 'overrides') == 0 then redis.call('HSET', COUNTS, 'overrides', whole(redis.call('HLEN', OVERRIDES))) end
  count('overrides', redis.call('HSET', OVERRIDES, field, text))
  local ends_at = entry[6] == nil and math.floor(version / 1000) or entry[5]
  if ends_at > 0 then redis.call('ZADD', OVERRIDES_BY_END, whole(ends_at + tonumber(ARGV[2])), field)
  else redis.call('ZREM', OVERRIDES_BY_END, field) end
  publish(text)
  return 1
end

-- The store may have lost keys that were dated a few seconds ahead. A cut-off of now must include them.
for _, name in ipairs({ NEWEST, NEWEST_UNCUT }) do
  if tonumber(redis.call('GET', name) or 0) < seconds + 5 then redis.call('SET', name, whole(seconds + 5)) end
end

local written = 0
for i = FIRST_ENTRY, #ARGV do
  local entry = cjson.decode(ARGV[i])
  if entry[1] == 'k' then
    written = written + write_key(entry, KEYS[FIRST_RECORD + i - FIRST_ENTRY])
  elseif entry[1] == 'o' then
    written = written + write_override(entry, ARGV[i])
  elseif entry[1] == 'f' then
    local known = redis.call('ZSCORE', FAMILIES, entry[2])
    if not known or tonumber(known) < entry[3] then
      count('families', redis.call('ZADD', FAMILIES, whole(entry[3]), entry[2]))
      publish(ARGV[i])
      written = written + 1
    end
  else
    local field = entry[2] .. ':' .. entry[3]
    local known = redis.call('HGET', CUT_OFFS, field)
    if (known and tonumber(string.match(known, '^%d+')) or 0) < entry[4] then
      count('cut_offs', redis.call('HSET', CUT_OFFS, field, whole(entry[4]) .. ' ' .. whole(entry[5])))
      publish(ARGV[i])
      written = written + 1
    end
  end
end
return written
