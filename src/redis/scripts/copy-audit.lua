-- Appends audit events of other stores that this one does not have yet.
-- KEYS     audit, copies
-- ARGV     the position until which the caller has read this store's events; then for each event: its id, the id of the store that
--          wrote it first, its position there (N or N-N), 1 if it is in an audit log, its text
-- Returns  the position of the last event, then the ids of the events that others have appended since the caller's position
local AUDIT, COPIES = KEYS[1], KEYS[2]
local function parts(cursor)
  local high, low = string.match(cursor, '^(%d+)-?(%d*)$')
  return tonumber(high), tonumber(low) or 0
end
local function is_after(cursor, mark)
  local high, low = parts(cursor)
  local marked_high, marked_low = parts(mark)
  return high > marked_high or (high == marked_high and low > marked_low)
end
-- As `copiedEventId`.
local function id_of(fields)
  local is_json, event = pcall(cjson.decode, fields[2])
  local id = is_json and type(event) == 'table' and event.eventId
  if type(id) == 'string' and id ~= 'damaged' then return id end
  return fields[4] or ''
end

local known, reply, position = {}, { '' }, ARGV[1]
for _, entry in ipairs(redis.call('XRANGE', AUDIT, '(' .. position, '+')) do
  local id = id_of(entry[2])
  known[id] = true
  reply[#reply + 1] = id
  position = entry[1]
end
local marks = {}
for i = 2, #ARGV, 5 do
  local id, store, cursor, logged, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if not known[id] then
    known[id] = true
    position = redis.call('XADD', AUDIT, '*', 'event', text, 'from', store .. ' ' .. cursor, 'logged', logged)
  end
  marks[store] = marks[store] or redis.call('HGET', COPIES, store) or '0'
  if is_after(cursor, marks[store]) then marks[store] = cursor end
end
for store, mark in pairs(marks) do redis.call('HSET', COPIES, store, mark) end
reply[1] = position
return reply
