-- Included by scripts that write the restriction of a key. A record and its restriction are written in one step.

-- Maintains the expected numbers of entries for compare.lua. A lost count is not restarted here.
local function count(counts, field, added)
  local counted = added > 0 and redis.call('HGET', counts, field)
  if counted then redis.call('HSET', counts, field, whole(tonumber(counted) + added)) end
end
-- A revocation and the end of an overlap are permanent, and write-back.lua may know them only from a feed.
local function merged(entry, stored)
  local head, flags, not_after = string.match(entry, '^(.*),(%d+),(%d+)%]$')
  local stored_flags, stored_not_after = string.match(stored or '', ',(%d+),(%d+)%]$')
  if not (head and stored_flags) then return entry end
  if stored_flags % 2 == 1 and flags % 2 == 0 then flags = flags + 1 end
  local earlier, own = tonumber(stored_not_after), tonumber(not_after)
  if earlier > 0 and (own == 0 or earlier < own) then not_after = stored_not_after end
  return table.concat({ head, whole(tonumber(flags)), not_after }, ',') .. ']'
end
-- Returns the text to publish.
local function restrict(ended, standings, counts, id, expires_at, entry)
  redis.call('ZADD', ended, whole(expires_at), id)
  local text = merged(entry, redis.call('HGET', standings, id))
  count(counts, 'standings', redis.call('HSET', standings, id, text))
  return text
end
