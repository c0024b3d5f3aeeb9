-- Makes what a new place needs. KEYS: the store's own hash. ARGV: format, a secret. Returns format and secret.
local held = redis.call('HMGET', KEYS[1], 'format', 'secret')
if not held[1] then
  redis.call('HSET', KEYS[1], 'format', ARGV[1])
  held[1] = ARGV[1]
end
if not held[2] then
  redis.call('HSET', KEYS[1], 'secret', ARGV[2])
  held[2] = ARGV[2]
end
return held
