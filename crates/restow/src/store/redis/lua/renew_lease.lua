-- Lets a lease end later, where it is still the same and was not given back. KEYS: the lease. ARGV: the fence, when it ends, how long it is remembered.
local held = redis.call('HMGET', KEYS[1], 'f', 'u')
if held[1] ~= ARGV[1] or held[2] == '0' then return 0 end
redis.call('HSET', KEYS[1], 'u', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
