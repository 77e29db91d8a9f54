-- Included by scripts that write records.

-- Formats integers up to 2^53. tostring would format large ones as 1.79e+15.
local function whole(number) return string.format('%.0f', number) end
local function date(dated, issued_at)
  local known = tonumber(redis.call('GET', dated) or 'none')
  if known and issued_at > known then redis.call('SET', dated, whole(issued_at)) end
end
-- Enters a new record in the dates of the registry.
local function date_record(newest_date, newest_uncut_date, cut_offs, put)
  date(newest_date, put.issuedAt)
  local cut = redis.call('HGET', cut_offs, put.ownerCut)
  if not cut or tonumber(string.match(cut, '^%d+')) < put.issuedAt then date(newest_uncut_date, put.issuedAt) end
end
-- Enters a key in a set of keys that count for an owner, or removes it.
local function count_until(owned_keys, id, ends_at)
  if ends_at then redis.call('ZADD', owned_keys, whole(ends_at), id) else redis.call('ZREM', owned_keys, id) end
end
-- Enters a new record in the indexes of the registry.
local function index_record(sequence, by_age, by_end, by_family, owner_index, self_service, put)
  local place = redis.call('INCR', sequence)
  redis.call('ZADD', by_age, place, put.id)
  redis.call('ZADD', by_end, whole(put.expiresAt), put.id)
  redis.call('ZADD', by_family, 0, put.family .. string.format(':%016.0f', place))
  if put.owned then redis.call('ZADD', owner_index, place, put.id) end
  if put.selfService then redis.call('ZADD', self_service, whole(put.expiresAt), put.id) end
end
