-- Gives a lease back, where it is still the same. KEYS: the lease. ARGV: the fence.
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
return redis.call('HSET', KEYS[1], 'u', '0')
