-- Changes fields of the store's own hash, where all of them are as expected. KEYS: that hash. ARGV: for each field its name, what it is
-- ('=' and the value, or '-' for absent), what it becomes. Returns 1 where that was done.
for i = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if (held and '=' .. held or '-') ~= ARGV[i + 1] then return 0 end
end
for i = 1, #ARGV, 3 do
  if ARGV[i + 2] == '-' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], string.sub(ARGV[i + 2], 2))
  end
end
return 1
