-- Notes uses, and puts back into the index what is missing there. KEYS: index, counts, uses of a bucket; then the key of each entry.
-- ARGV: ranked; for each digest, variant, when it was used. Returns how many were put back.
local index, counts, uses = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', counts, 'x', 'r', 'w')
if known[1] then return 0 end
local ranked, back, bytes = known[2] or ARGV[1] == '1', 0, 0
for i = 1, #KEYS - 3 do
  local arg, key = 1 + (i - 1) * 3, KEYS[3 + i]
  local digest, variant, used = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
  local member = digest .. suffix(variant)
  local held = redis.call('ZSCORE', index, member)
  if not held then
    local value = redis.call('GET', key)
    for _, old in ipairs(value and blocks(value) or {}) do
      if old.variant == variant then
        local score = old.expires >= 4503599627370496 and '+inf' or string.format('%.0f', old.expires)
        redis.call('ZADD', index, score, member)
        back, held, bytes = back + 1, true, bytes + old.size
      end
    end
  end
  if held and ranked then redis.call('ZADD', uses, 'GT', used, member) end
end
if back > 0 then
  tally(counts, back, bytes)
  -- Whose the others are is not known.
  redis.call('HSET', counts, 'w', '*')
end
return back
