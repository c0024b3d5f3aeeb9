-- Sets the numbers of a bucket, where they and its index are still the ones that were seen. KEYS: index, counts.
-- ARGV: number of the index, entries and bytes that were seen; entries, bytes, whose.
local seen = redis.call('HMGET', KEYS[2], 'n', 'b', 'x')
if seen[3] or redis.call('ZCARD', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end
if (seen[1] or '') ~= ARGV[2] or (seen[2] or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], 'n', ARGV[4], 'b', ARGV[5], 'w', ARGV[6])
redis.call('HDEL', KEYS[2], 's')
return 1
