-- Takes a lease, where it is free. KEYS: the lease, counts of its bucket. ARGV: now, how long it is held, how long it is remembered.
-- Returns the fence and 0, or 0 and when it ends.
local now = tonumber(ARGV[1])
local ends = redis.call('HGET', KEYS[1], 'u')
if ends and (tonumber(ends) or 0) > now then return { '0', ends } end
-- A number that grows even where the counter was lost, by the server's clock; microseconds fit into 53 bits.
local time = redis.call('TIME')
local fence = tonumber(time[1]) * 1000000 + tonumber(time[2])
for _, last in ipairs({ redis.call('HGET', KEYS[2], 'f') or '0', redis.call('HGET', KEYS[1], 'f') or '0' }) do
  local number = tonumber(last) or 0
  if number >= fence then fence = number + 1 end
end
fence = string.format('%.0f', fence)
redis.call('HSET', KEYS[2], 'f', fence)
redis.call('HSET', KEYS[1], 'f', fence, 'u', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { fence, '0' }
