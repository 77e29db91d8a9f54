-- Checks some members of the index of self-service keys, and removes those that no longer count: keys that are revoked,
-- superseded, removed, of an ended family or cut off, and V2 keys of a V1 key, which counts for them (core/keys/key-record.ts).
-- KEYS     self-service, ended families, cut-offs; then, for each key, its record
-- ARGV     the ids of the keys
-- Returns  the number of removed members
local SELF_SERVICE, FAMILIES, CUT_OFFS = KEYS[1], KEYS[2], KEYS[3]

local function is_cut_off(scope, subject, issued_at)
  local cut = redis.call('HGET', CUT_OFFS, scope .. ':' .. subject)
  return cut and tonumber(string.match(cut, '^%d+')) > issued_at
end

local function counts(i)
  local stored = redis.call('GET', KEYS[3 + i])
  local record = stored and cjson.decode(stored)
  if not record or record.x or record.u then return false end
  if not record.l and string.match(string.sub(record.f, -25), '^_v1%w+$') then return false end
  if redis.call('ZSCORE', FAMILIES, record.f) then return false end
  return not (is_cut_off('all', '', record.i) or is_cut_off('role', record.r, record.i)
    or is_cut_off('owner', record.o or record.f, record.i))
end

local removed = 0
for i, id in ipairs(ARGV) do
  if not counts(i) then removed = removed + redis.call('ZREM', SELF_SERVICE, id) end
end
return removed
