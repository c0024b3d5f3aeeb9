-- Puts new metas where the generation is the one that was read. KEYS: index, counts, uses of a bucket; then the key of each entry.
-- ARGV: now, keep, ranked, channel, message; for each entry address, digest, generation, block, score.
-- Returns for each: 1, 0, or the seal of the body that is there, where it is another than the block's.
local now, keep = tonumber(ARGV[1]), tonumber(ARGV[2])
local index, counts, uses = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', counts, 'x', 'r')
if known[1] then return 'gone' end
local ranked = known[2] or ARGV[3] == '1'
local done, some, bytes = {}, false, 0
for i = 1, #KEYS - 3 do
  local arg, key = 5 + (i - 1) * 5, KEYS[3 + i]
  local address, digest, generation, block = ARGV[arg + 1], ARGV[arg + 2], tonumber(ARGV[arg + 3]), ARGV[arg + 4]
  local variant = string.sub(block, 5, 20)
  local value = redis.call('GET', key)
  done[i] = 0
  if value and string.sub(value, 1, #address) == address then
    local all, old, latest, apart = blocks(value), nil, struct.unpack('>i8', block, 53), false
    for _, one in ipairs(all) do
      if one.variant == variant then
        old = one
      elseif one.expires > latest then
        latest = one.expires
      end
      if one.len == APART then apart = true end
    end
    if old and old.generation == generation and old.expires + keep > now then
      if old.seal ~= string.sub(block, 69, 84) then
        done[i] = old.seal
      elseif old.len ~= APART or redis.call('HEXISTS', beside(key), suffix(variant)) == 1 then
        bytes = bytes + struct.unpack('>I8', block, 61) - old.size
        -- The body stays where it is.
        old.block = string.sub(block, 1, 20) .. struct.pack('>I8', generation + 1) .. string.sub(block, 29, 84)
          .. string.sub(old.block, 85, 88) .. string.sub(block, 89)
        local ttl = left(latest, keep, now)
        redis.call('SET', key, joined(address, all), 'PX', ttl)
        if apart then redis.call('PEXPIRE', beside(key), ttl) end
        redis.call('ZADD', index, ARGV[arg + 5], digest .. suffix(variant))
        if ranked then redis.call('ZADD', uses, ARGV[1], digest .. suffix(variant)) end
        done[i], some = 1, true
      end
    end
  end
end
tally(counts, 0, bytes)
if some then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return done
