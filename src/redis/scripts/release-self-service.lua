-- Checks a part of the index of self-service keys, and removes the members that no longer count: keys that are revoked,
-- superseded, removed, of an ended family or cut off, and V2 keys of a V1 key, which counts for them (core/keys/key-record.ts).
-- KEYS     self-service, ended families, cut-offs
-- ARGV     cursor of ZSCAN, number of members to check, prefix of records
-- Returns  the next cursor, the number of removed members
local SELF_SERVICE, FAMILIES, CUT_OFFS = KEYS[1], KEYS[2], KEYS[3]

local function is_cut_off(scope, subject, issued_at)
  local cut = redis.call('HGET', CUT_OFFS, scope .. ':' .. subject)
  return cut and tonumber(string.match(cut, '^%d+')) > issued_at
end

local function counts(id)
  local stored = redis.call('GET', ARGV[3] .. id)
  local record = stored and cjson.decode(stored)
  if not record or record.x or record.u then return false end
  if not record.l and string.match(string.sub(record.f, -25), '^_v1%w+$') then return false end
  if redis.call('ZSCORE', FAMILIES, record.f) then return false end
  return not (is_cut_off('all', '', record.i) or is_cut_off('role', record.r, record.i)
    or is_cut_off('owner', record.o or record.f, record.i))
end

local found = redis.call('ZSCAN', SELF_SERVICE, ARGV[1], 'COUNT', ARGV[2])
local removed = 0
for i = 1, #found[2], 2 do
  local id = found[2][i]
  if not counts(id) then removed = removed + redis.call('ZREM', SELF_SERVICE, id) end
end
return { found[1], removed }
