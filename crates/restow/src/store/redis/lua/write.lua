-- Writes entries, all or none. KEYS: index, counts, uses of each bucket; then the key of each entry; then that of each lease.
-- ARGV: now, keep, most variants, ranked, channel, message, buckets, entries, leases; for each entry bucket, address, digest, block, body,
-- generation, score; for each lease the fence. Returns 'ok', 'gone' or 'fenced'.
local now, keep, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local buckets, entries, leases = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local first_key, first_arg = buckets * 3, 9

for i = 1, leases do
  local held = redis.call('HGET', KEYS[first_key + entries + i], 'f')
  if held ~= ARGV[first_arg + entries * 7 + i] then return 'fenced' end
end
local known = {}
for b = 1, buckets do
  local c = redis.call('HMGET', KEYS[b * 3 - 1], 'x', 'w', 'r')
  if c[1] then return 'gone' end
  if ARGV[4] == '1' and not c[3] then
    redis.call('HSET', KEYS[b * 3 - 1], 'r', '1')
    c[3] = '1'
  end
  known[b] = { whose = c[2], ranked = c[3], entries = 0, bytes = 0 }
end

for i = 1, entries do
  local arg, key = first_arg + (i - 1) * 7, KEYS[first_key + i]
  local b, address, digest, block = tonumber(ARGV[arg + 1]), ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4]
  local index, counts, uses = KEYS[b * 3 - 2], KEYS[b * 3 - 1], KEYS[b * 3]
  local bucket = known[b]
  local new = { variant = string.sub(block, 5, 20), expires = struct.unpack('>i8', block, 53), size = struct.unpack('>I8', block, 61) }
  local generation, changed = tonumber(ARGV[arg + 6]), nil
  local kept, latest = {}, new.expires
  local metas = redis.call('HGET', key, 'm')
  local function drop(old)
    local member = digest .. suffix(old.variant)
    redis.call('HDEL', key, 'b' .. suffix(old.variant))
    redis.call('ZREM', index, member)
    if bucket.ranked then redis.call('ZREM', uses, member) end
    bucket.entries = bucket.entries - 1
    bucket.bytes = bucket.bytes - old.size
  end
  if metas then
    local ours = string.sub(metas, 1, #address) == address
    for _, old in ipairs(blocks(metas)) do
      local retained = old.expires + keep > now
      if not ours then
        -- Another address of the same digest, which never happens by chance: the newer one stays.
        drop(old)
      elseif old.variant == new.variant then
        if retained then
          generation = old.generation + 1
          if old.seal == string.sub(block, 69, 84) then changed = old.changed end
        end
        bucket.entries = bucket.entries - 1
        bucket.bytes = bucket.bytes - old.size
      elseif retained then
        kept[#kept + 1] = old
      else
        drop(old)
      end
    end
  end
  local member = digest .. suffix(new.variant)
  if new.expires + keep <= now then
    -- It is gone on arrival.
    redis.call('HDEL', key, 'b' .. suffix(new.variant))
    redis.call('ZREM', index, member)
    redis.call('ZREM', uses, member)
    block = ''
  else
    while #kept >= most do
      local oldest = 1
      for k = 2, #kept do
        if kept[k].stored < kept[oldest].stored then oldest = k end
      end
      drop(kept[oldest])
      table.remove(kept, oldest)
    end
    bucket.entries = bucket.entries + 1
    bucket.bytes = bucket.bytes + new.size
    block = string.sub(block, 1, 20) .. struct.pack('>I8', generation) .. string.sub(block, 29, 44)
      .. (changed or string.sub(block, 45, 52)) .. string.sub(block, 53)
  end
  local parts = { address }
  for _, old in ipairs(kept) do
    parts[#parts + 1] = string.sub(metas, old.from, old.to)
    if old.expires > latest then latest = old.expires end
  end
  parts[#parts + 1] = block
  if block == '' and #kept == 0 then
    redis.call('UNLINK', key)
  elseif block == '' then
    redis.call('HSET', key, 'm', table.concat(parts))
  else
    redis.call('HSET', key, 'm', table.concat(parts), 'b' .. suffix(new.variant), ARGV[arg + 5])
    redis.call('ZADD', index, ARGV[arg + 7], member)
    if bucket.ranked then redis.call('ZADD', uses, ARGV[1], member) end
    remain(key, latest, keep, now)
    local whose = string.sub(digest, 1, 6)
    if not bucket.whose then
      bucket.whose = whose
      redis.call('HSET', counts, 'w', whose)
    elseif bucket.whose ~= whose and bucket.whose ~= '*' then
      bucket.whose = '*'
      redis.call('HSET', counts, 'w', '*')
    end
  end
end

for b = 1, buckets do
  tally(KEYS[b * 3 - 1], known[b].entries, known[b].bytes)
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'ok'
