-- What stands before every script that reads or changes entries: how the metas of an address are laid out (see metas.rs).
local NONE = string.rep('\0', 16)
local HEAD = 84
-- No time to live is longer: 100 years, so that every entry has one, and a policy that removes such keys alone may remove it.
local LONGEST = 3153600000000

local function suffix(variant)
  if variant == NONE then return '' end
  return variant
end

-- The blocks behind the address: variant, generation, stored, changed, expires, size, seal, and where they are. Damaged ones end the list.
local function blocks(metas)
  local found = {}
  if #metas < 5 then return found end
  local at = 6 + struct.unpack('>I4', metas, 2)
  while at + HEAD - 1 <= #metas do
    local len = struct.unpack('>I4', metas, at)
    if len < HEAD or at + len - 1 > #metas then break end
    found[#found + 1] = {
      variant = string.sub(metas, at + 4, at + 19),
      generation = struct.unpack('>I8', metas, at + 20),
      stored = struct.unpack('>i8', metas, at + 28),
      changed = string.sub(metas, at + 44, at + 51),
      expires = struct.unpack('>i8', metas, at + 52),
      size = struct.unpack('>I8', metas, at + 60),
      seal = string.sub(metas, at + 68, at + 83),
      from = at,
      to = at + len - 1,
    }
    at = at + len
  end
  return found
end

local function remain(key, latest, keep, now)
  local left = latest + keep - now
  if left > LONGEST then left = LONGEST end
  if left < 1 then left = 1 end
  redis.call('PEXPIRE', key, string.format('%.0f', left))
end

-- The numbers of a bucket change by this many entries and bytes.
local function tally(counts, entries, bytes)
  if entries ~= 0 then redis.call('HINCRBY', counts, 'n', string.format('%.0f', entries)) end
  if bytes ~= 0 then redis.call('HINCRBY', counts, 'b', string.format('%.0f', bytes)) end
end
