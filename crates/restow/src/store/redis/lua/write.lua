-- Writes entries, all or none. KEYS: index, counts, uses of each bucket; then the key of each entry, bucket by bucket; then that of each lease.
-- ARGV: now, keep, most variants, ranked, channel, message, buckets, leases; for each bucket how many entries, and whose they are; for each entry
-- what the index calls it, its score, the value of its address as if it were alone there, how long that stays ('0': it is gone on arrival),
-- its body where it goes beside the value; for each lease the fence. Returns 'ok', 'gone' or 'fenced'.
local now, keep, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local buckets, leases = tonumber(ARGV[7]), tonumber(ARGV[8])
local call = redis.call

for i = 1, leases do
  if call('HGET', KEYS[#KEYS - leases + i], 'f') ~= ARGV[#ARGV - leases + i] then return 'fenced' end
end
local known = {}
for b = 1, buckets do
  local c = call('HMGET', KEYS[b * 3 - 1], 'x', 'w', 'r', 'n', 'b')
  if c[1] then return 'gone' end
  known[b] = c
end

local key_at, arg_at = buckets * 3, 8 + buckets * 2
for b = 1, buckets do
  local index, counts, uses, held = KEYS[b * 3 - 2], KEYS[b * 3 - 1], KEYS[b * 3], known[b]
  local ranked = held[3] or ARGV[4] == '1'
  local entries, bytes = numeric(held[4]), numeric(held[5])
  local scored, used, fresh, added = {}, {}, 0, 0

  local function flush()
    if #scored > 0 then added = added + call('ZADD', index, unpack(scored)) end
    if #used > 0 then call('ZADD', uses, unpack(used)) end
    scored, used = {}, {}
  end

  local function drop(key, digest, old)
    flush()
    local member = digest .. suffix(old.variant)
    if old.len == APART then call('HDEL', beside(key), suffix(old.variant)) end
    entries = entries - call('ZREM', index, member)
    if ranked then call('ZREM', uses, member) end
  end

  -- Puts what is new among what was there before; returns what is there then.
  local function merge(key, digest, before, value, gone)
    local address, new = address_of(value), blocks(value)[1]
    local ours = string.sub(before, 1, #address) == address
    local all, latest = {}, gone and now - keep or new.expires
    for _, old in ipairs(blocks(before)) do
      local retained = old.expires + keep > now
      bytes = bytes - old.size
      if ours and old.variant == new.variant then
        if retained and not gone then
          local changed = old.seal == new.seal and old.changed or string.sub(new.block, 45, 52)
          new.block = string.sub(new.block, 1, 20) .. struct.pack('>I8', old.generation + 1) .. string.sub(new.block, 29, 44)
            .. changed .. string.sub(new.block, 53)
        end
        if gone then
          drop(key, digest, old)
        elseif old.len == APART and new.len ~= APART then
          call('HDEL', beside(key), suffix(old.variant))
        end
      elseif ours and retained then
        all[#all + 1] = old
      else
        -- Past its keep; or of another address of the same digest, which never happens by chance: the newer one stays.
        drop(key, digest, old)
      end
    end
    while not gone and #all >= most do
      local oldest = 1
      for k = 2, #all do
        if all[k].stored < all[oldest].stored then oldest = k end
      end
      drop(key, digest, all[oldest])
      table.remove(all, oldest)
    end
    local apart = false
    for _, old in ipairs(all) do
      bytes = bytes + old.size
      if old.expires > latest then latest = old.expires end
      if old.len == APART then apart = true end
    end
    if not gone then all[#all + 1] = new end
    if #all == 0 then
      call('UNLINK', key)
      return
    end
    local ttl = left(latest, keep, now)
    call('SET', key, joined(address, all), 'PX', ttl)
    if apart then call('PEXPIRE', beside(key), ttl) end
    return ttl
  end

  for _ = 1, tonumber(ARGV[7 + b * 2]) do
    key_at = key_at + 1
    local key, member, value, ttl, body = KEYS[key_at], ARGV[arg_at + 1], ARGV[arg_at + 3], ARGV[arg_at + 4], ARGV[arg_at + 5]
    local digest = string.sub(member, 1, 20)
    if ttl == '0' then
      local before = call('GET', key)
      if before then merge(key, digest, before, value, true) end
      drop(key, digest, { variant = string.sub(member, 21), len = 0 })
    else
      -- Mostly nothing was there.
      local before = call('SET', key, value, 'PX', ttl, 'GET')
      if before then
        ttl = merge(key, digest, before, value, false)
      else
        fresh = fresh + 1
      end
      if body ~= '' then
        call('HSET', beside(key), string.sub(member, 21), body)
        call('PEXPIRE', beside(key), ttl)
      end
      bytes = bytes + struct.unpack('>I8', value, 66 + struct.unpack('>I4', value, 2))
      local n = #scored
      scored[n + 1], scored[n + 2] = ARGV[arg_at + 2], member
      if ranked then used[n + 1], used[n + 2] = ARGV[1], member end
      if n > 1000 then flush() end
    end
    arg_at = arg_at + 5
  end
  flush()

  local whose, now_whose = held[2], ARGV[8 + b * 2]
  if whose and whose ~= now_whose then now_whose = '*' end
  call('HSET', counts, 'n', string.format('%.0f', entries + added), 'b', string.format('%.0f', bytes), 'w', now_whose)
  -- The index named what was not there any more: how large that was is not known.
  if added < fresh then call('HSET', counts, 's', '1') end
  if ranked and not held[3] then call('HSET', counts, 'r', '1') end
end
call('PUBLISH', ARGV[5], ARGV[6])
return 'ok'
