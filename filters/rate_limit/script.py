"""The arithmetic of the algorithms once more, in the language of Redis: what a store carries out by itself, at one instant.

A cell is three doubles in 24 bytes, on the axis of the server's clock, and is kept for as long as it says something.
A charge comes as `struct` (little-endian doubles): kind, cost, share, four numbers of the algorithm's. The answer is the
server's instant and the wait, which charge refused, and for each charge the cell as it was and as it is, and what was granted.
"""

from typing import Final

KINDS: Final = {"gcra": 1, "fixed_window": 2, "sliding_window": 3, "calendar_window": 4, "closed": 5}
"""Of `Algorithm.spec`, as the script has them."""

_ARITHMETIC: Final = """
local TOLERANCE, GRAIN, SLACK = 1e-6, 1e-9, 7200
local floor, min, max = math.floor, math.min, math.max

-- For each kind: seconds to wait and the cell after a charge; how much would fit; the cell after a charge nobody can refuse.
local charge, room, owe = {}, {}, {}

local function taken_back(cell, now, interval, usual)
  local mark = (usual ~= 0 and usual ~= interval) and interval or 0
  if not cell or cell[1] <= now then return now, mark end
  if cell[2] == mark then return cell[1], mark end
  local counted = cell[2]
  if counted == 0 then counted = usual end
  return now + (cell[1] - now) * interval / counted, mark
end
charge[1] = function(cell, now, cost, interval, span, debt, usual)
  local back, mark = taken_back(cell, now, interval, usual)
  back = back + interval * cost
  local wait = back - now - span
  return (wait > TOLERANCE) and wait or 0, {back, mark, 0}
end
room[1] = function(cell, now, interval, span, debt, usual)
  local taken = taken_back(cell, now, interval, usual) - now
  return max(0, floor((span - taken + TOLERANCE) / interval))
end
owe[1] = function(cell, now, cost, interval, span, debt, usual)
  local back, mark = taken_back(cell, now, interval, usual)
  return {min(back + interval * cost, max(back, now + span + debt)), mark, 0}
end

charge[2] = function(cell, now, cost, value, unit)
  if not cell or cell[1] - now <= TOLERANCE then
    return (cost <= value) and 0 or unit, {now + unit, cost, 0}
  end
  if cell[2] + cost > value then return cell[1] - now, cell end
  return 0, {cell[1], cell[2] + cost, 0}
end
room[2] = function(cell, now, value)
  if not cell or cell[1] - now <= TOLERANCE then return value end
  return max(0, value - cell[2])
end
owe[2] = function(cell, now, cost, value, unit, debt)
  if not cell or cell[1] - now <= TOLERANCE then return {now + unit, min(cost, value + debt), 0} end
  return {cell[1], min(cell[2] + cost, max(cell[2], value + debt)), 0}
end

local function standing(cell, now, unit)
  local number = floor(now / unit)
  if not cell then return number, 0, 0, max(0, now - number * unit) end
  local its = floor(cell[1] / unit + 0.5) - 2
  if number <= its then return its, cell[2], cell[3], max(0, now - its * unit) end
  local into = max(0, now - number * unit)
  if number == its + 1 then return number, 0, cell[2], into end
  return number, 0, 0, into
end
charge[3] = function(cell, now, cost, value, unit)
  local number, count, last, into = standing(cell, now, unit)
  local left = value - count - cost
  local most = left + 1 - GRAIN * (1 + last)
  if last * (1 - into / unit) <= most then return 0, {(number + 2) * unit, count + cost, last} end
  local wait
  if left >= 0 then
    wait = unit * (1 - most / last) - into
  else
    most = value - cost + 1 - GRAIN * (1 + count)
    wait = unit - into
    if cost > value then wait = wait + unit
    elseif count > most then wait = wait + unit * (1 - most / count) end
  end
  return max(wait, 0) + 2 * TOLERANCE, {(number + 2) * unit, count, last}
end
room[3] = function(cell, now, value, unit)
  local _, count, last, into = standing(cell, now, unit)
  return max(0, value - count - floor(last * (1 - into / unit) + GRAIN * (1 + last)))
end
owe[3] = function(cell, now, cost, value, unit, debt)
  local number, count, last = standing(cell, now, unit)
  return {(number + 2) * unit, min(count + cost, max(count, value + debt)), last}
end

local function dated(cell, now, number, ends)
  if not cell or cell[1] <= now or cell[3] < number then return {ends + SLACK, 0, number} end
  return cell
end
charge[4] = function(cell, now, cost, value, number, ends)
  cell = dated(cell, now, number, ends)
  if cell[2] + cost > value then return max(ends - now, 2 * TOLERANCE), cell end
  return 0, {cell[1], cell[2] + cost, cell[3]}
end
room[4] = function(cell, now, value, number, ends)
  return max(0, value - dated(cell, now, number, ends)[2])
end
owe[4] = function(cell, now, cost, value, number, ends, debt)
  cell = dated(cell, now, number, ends)
  return {cell[1], min(cell[2] + cost, max(cell[2], value + debt)), cell[3]}
end

charge[5] = function(cell, now, cost, unit) return unit, cell end
room[5] = function() return 0 end
owe[5] = function(cell) return cell end
"""

EPOCH: Final = 1_767_225_600
"""Second of the server's clock at which the axis of cells begins: doubles are finer near to their zero."""

SCRIPT: Final = (
    _ARITHMETIC
    + f"local EPOCH = {EPOCH}"
    + """
local function instant()
  local time = redis.call('TIME')
  return time[1] - EPOCH + time[2] / 1e6
end
local late, now = ARGV[1] == 'late', instant()
local before, after, granted = {}, {}, {}
local longest, refused = 0, -1
for number, key in ipairs(KEYS) do
  local kind, cost, share, a, b, c, d = struct.unpack('<ddddddd', ARGV[number + 1])
  local kept = redis.call('GET', key)
  local cell = false
  if kept and #kept == 24 then cell = {struct.unpack('<ddd', kept)} end
  before[number] = cell
  if late then
    after[number] = owe[kind](cell, now, cost, a, b, c, d)
  elseif cost == 0 and share == 0 then
    after[number] = cell
  else
    local more = max(cost, min(share, room[kind](cell, now, a, b, c, d)))
    local wait, charged = charge[kind](cell, now, more, a, b, c, d)
    if wait > longest then longest, refused = wait, number - 1 end
    after[number], granted[number] = charged, more
  end
end
if refused >= 0 then after = before end
local told = {struct.pack('<dd', now, longest), refused}
for number, key in ipairs(KEYS) do
  local was, is = before[number], after[number]
  if is and is ~= was then
    redis.call('SET', key, struct.pack('<ddd', is[1], is[2], is[3]), 'PX', max(1, math.ceil((is[1] - now) * 1000)))
  end
  told[#told + 1] = was and struct.pack('<ddd', was[1], was[2], was[3]) or ''
  told[#told + 1] = is and struct.pack('<ddd', is[1], is[2], is[3]) or ''
  told[#told + 1] = (refused < 0 and granted[number]) or 0
end
return told
"""
)
"""KEYS are those of the cells; ARGV[1] is `late` for charges that nobody can refuse any more, the others are the charges.
A `share` above the cost is granted as far as it fits, and is for whoever spends it without asking again."""
