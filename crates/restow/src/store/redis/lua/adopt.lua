-- Takes over a secret, where there is no table. KEYS: the store's own hash. ARGV: the secret. Returns 1 where it is the store's.
if redis.call('HGET', KEYS[1], 'secret') == ARGV[1] then return 1 end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 11) == 'repository:' then return 0 end
end
redis.call('HSET', KEYS[1], 'secret', ARGV[1])
return 1
