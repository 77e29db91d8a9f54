-- Appends audit events of other stores that this one does not have yet.
-- KEYS     audit, copies
-- ARGV     for each event: the id of the store that wrote it first, its cursor there (N or N-N), 1 if it is in an audit log, its text
-- Returns  the number of appended events
local function parts(cursor)
  local high, low = string.match(cursor, '^(%d+)-?(%d*)$')
  return tonumber(high), tonumber(low) or 0
end
local function is_after(cursor, mark)
  local high, low = parts(cursor)
  local marked_high, marked_low = parts(mark)
  return high > marked_high or (high == marked_high and low > marked_low)
end
local appended, marks = 0, {}
for i = 1, #ARGV, 4 do
  local store, cursor, logged, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  marks[store] = marks[store] or redis.call('HGET', KEYS[2], store) or '0'
  if is_after(cursor, marks[store]) then
    redis.call('XADD', KEYS[1], '*', 'event', text, 'from', store .. ' ' .. cursor, 'logged', logged)
    marks[store] = cursor
    appended = appended + 1
  end
end
for store, mark in pairs(marks) do redis.call('HSET', KEYS[2], store, mark) end
return appended
