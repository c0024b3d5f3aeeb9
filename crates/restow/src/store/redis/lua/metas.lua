-- What stands before every script that reads or changes entries: how the value of an address is laid out (see metas.rs).
local NONE = string.rep('\0', 16)
local HEAD = 88
-- Stands for the length of a body that is in the hash beside.
local APART = 4294967295
-- No time to live is longer: 100 years, so that every entry has one, and a policy that removes such keys alone may remove it.
local LONGEST = 3153600000000

local function suffix(variant)
  if variant == NONE then return '' end
  return variant
end

-- The hash of the bodies beside: of the same bucket, and so in the same slot.
local function beside(key)
  return string.sub(key, 1, -22) .. 'b' .. string.sub(key, -20)
end

-- What a value begins with: version and address.
local function address_of(value)
  return string.sub(value, 1, 5 + struct.unpack('>I4', value, 2))
end

-- The blocks behind the address: variant, generation, stored, changed, expires, size, seal, themselves and their bodies. Damaged ones end the list.
local function blocks(value)
  local found = {}
  if #value < 5 then return found end
  local at = 6 + struct.unpack('>I4', value, 2)
  while at + 3 <= #value do
    local len = struct.unpack('>I4', value, at)
    if len < HEAD or at + len - 1 > #value then break end
    found[#found + 1] = {
      variant = string.sub(value, at + 4, at + 19),
      generation = struct.unpack('>I8', value, at + 20),
      stored = struct.unpack('>i8', value, at + 28),
      changed = string.sub(value, at + 44, at + 51),
      expires = struct.unpack('>i8', value, at + 52),
      size = struct.unpack('>I8', value, at + 60),
      seal = string.sub(value, at + 68, at + 83),
      len = struct.unpack('>I4', value, at + 84),
      block = string.sub(value, at, at + len - 1),
      body = '',
    }
    at = at + len
  end
  at = at + 4
  for _, one in ipairs(found) do
    if one.len ~= APART then
      one.body = string.sub(value, at, at + one.len - 1)
      at = at + one.len
    end
  end
  return found
end

-- The value of an address with these blocks.
local function joined(address, all)
  local parts = { address }
  for _, one in ipairs(all) do parts[#parts + 1] = one.block end
  parts[#parts + 1] = '\0\0\0\0'
  for _, one in ipairs(all) do parts[#parts + 1] = one.body end
  return table.concat(parts)
end

-- How long an address stays whose last variant expires then.
local function left(latest, keep, now)
  local ms = latest + keep - now
  if ms > LONGEST then ms = LONGEST end
  if ms < 1 then ms = 1 end
  return string.format('%.0f', ms)
end

-- What is written there as a number; one that is damaged is none, and counted again by and by.
local function numeric(value)
  return tonumber(value or '0') or 0
end

-- A number of a bucket changes by so much.
local function change(counts, field, by)
  if by == 0 then return end
  local changed = redis.pcall('HINCRBY', counts, field, string.format('%.0f', by))
  if type(changed) == 'table' and changed.err then redis.call('HSET', counts, field, string.format('%.0f', by), 's', '1') end
end

-- The numbers of a bucket change by this many entries and bytes.
local function tally(counts, entries, bytes)
  change(counts, 'n', entries)
  change(counts, 'b', bytes)
end
