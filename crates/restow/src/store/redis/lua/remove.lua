-- Removes entries. KEYS: index, counts, uses of a bucket; then the key of each. ARGV: now, keep, channel, message (one that addresses are put behind,
-- one of the whole table, or '' where nobody is told); for each digest, variant, how, and two values:
--   'all'        every variant of the address (the first value)
--   'read'       the variant, where its generation is still the first value
--   'past'       the variant, where it expired after the first value, and not after the second; or where it is not there any more
--   'any'        the variant
--   'damaged'    every variant, where the value still begins with the first value
-- What the index names and is not there goes out of the index in any case.
-- Returns how many entries were removed (for 'all', at how many addresses there was a retained one), and how many were not there any more.
local now, keep, channel, message = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local index, counts, uses = KEYS[1], KEYS[2], KEYS[3]
local removed, missed, entries, bytes = 0, 0, 0, 0
-- Beyond so many bytes of addresses it is the whole table that changed (see changes.rs).
local MOST, KIND, TABLE = 65536, 17, 2
local told = {}

-- Notes that others are told of the address that this begins with: its key and its partition, each with its length.
local function tell(value)
  if message == '' then return end
  local len, key = struct.unpack('>I4I4', value, 2)
  told[#told + 1] = string.sub(value, 6, 9 + key) .. struct.pack('>I4', len - 4 - key) .. string.sub(value, 10 + key, 5 + len)
end

local function forget(member)
  redis.call('ZREM', uses, member)
  return redis.call('ZREM', index, member)
end

for i = 1, #KEYS - 3 do
  local arg, key = 4 + (i - 1) * 5, KEYS[3 + i]
  local digest, variant, how, one, two = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4], ARGV[arg + 5]
  local value = redis.call('GET', key)
  local whole = how == 'all' or how == 'damaged'
  -- What the server removed by itself others may hold all the same.
  if how == 'all' then tell(one) end
  if not value then
    redis.call('UNLINK', beside(key))
    if not whole then
      local gone = forget(digest .. suffix(variant))
      entries = entries - gone
      missed = missed + gone
    end
  elseif whole then
    if string.sub(value, 1, #one) == one then
      local retained = false
      for _, old in ipairs(blocks(value)) do
        if old.expires + keep > now then retained = true end
        forget(digest .. suffix(old.variant))
        entries = entries - 1
        bytes = bytes - old.size
      end
      redis.call('UNLINK', key, beside(key))
      if retained or how == 'damaged' then removed = removed + 1 end
    end
  else
    local found, others = nil, {}
    for _, old in ipairs(blocks(value)) do
      if old.variant == variant then found = old else others[#others + 1] = old end
    end
    if not found then
      local gone = forget(digest .. suffix(variant))
      entries = entries - gone
      missed = missed + gone
    else
      local fits = how == 'any'
      if how == 'read' then
        fits = found.generation == tonumber(one)
      elseif how == 'past' then
        fits = found.expires > tonumber(one) and found.expires <= tonumber(two)
      end
      if fits then
        forget(digest .. suffix(variant))
        entries = entries - 1
        bytes = bytes - found.size
        removed = removed + 1
        tell(value)
        if #others == 0 then
          redis.call('UNLINK', key, beside(key))
        else
          if found.len == APART then redis.call('HDEL', beside(key), suffix(variant)) end
          redis.call('SET', key, joined(address_of(value), others), 'KEEPTTL')
        end
      end
    end
  end
end
if missed > 0 then
  -- How large they were is not known any more: as large as others, until they are counted again.
  local held = redis.call('HMGET', counts, 'n', 'b')
  local n, b = numeric(held[1]), numeric(held[2])
  if n > 0 then bytes = bytes - math.floor(b / n) * missed end
  redis.call('HSET', counts, 's', '1')
end
tally(counts, entries, bytes)
if #told > 0 then
  if string.byte(message, KIND) ~= TABLE then
    local all = message .. table.concat(told)
    message = #all <= MOST and all or string.sub(message, 1, KIND - 1) .. string.char(TABLE) .. string.sub(message, KIND + 1)
  end
  redis.call('PUBLISH', channel, message)
end
return { removed, missed }
