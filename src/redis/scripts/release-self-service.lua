-- Checks some members of the index of self-service keys or of the keys of an owner, and removes those that no longer count: keys that
-- are revoked, removed, of an ended family or cut off. A superseded key, and a V2 key of a V1 key, count only for an owner (core/keys/key-record.ts).
-- KEYS     the index, ended families, cut-offs; then, for each key, its record
-- ARGV     "self-service" or "owner"; the ids of the keys
-- Returns  the number of removed members
local INDEX, FAMILIES, CUT_OFFS = KEYS[1], KEYS[2], KEYS[3]

local function is_cut_off(scope, subject, issued_at)
  local cut = redis.call('HGET', CUT_OFFS, scope .. ':' .. subject)
  return cut and tonumber(string.match(cut, '^%d+')) > issued_at
end

local function counts(i)
  local stored = redis.call('GET', KEYS[3 + i])
  local record = stored and cjson.decode(stored)
  if not record or record.x then return false end
  if ARGV[1] == 'self-service' and record.u then return false end
  if ARGV[1] == 'self-service' and not record.l and string.match(string.sub(record.f, -25), '^_v1%w+$') then return false end
  if redis.call('ZSCORE', FAMILIES, record.f) then return false end
  return not (is_cut_off('all', '', record.i) or is_cut_off('role', record.r, record.i)
    or is_cut_off('owner', record.o or record.f, record.i))
end

local removed = 0
for i = 2, #ARGV do
  if not counts(i - 1) then removed = removed + redis.call('ZREM', INDEX, ARGV[i]) end
end
return removed
