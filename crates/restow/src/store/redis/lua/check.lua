-- Tells whether entries may be written. KEYS: the counts of a bucket; then that of each lease. ARGV: the fence of each lease.
if redis.call('HEXISTS', KEYS[1], 'x') == 1 then return 'gone' end
for i = 1, #ARGV do
  if redis.call('HGET', KEYS[i + 1], 'f') ~= ARGV[i] then return 'fenced' end
end
return 'ok'
