-- Ends a bucket: nobody writes into it any more. KEYS: counts. ARGV: how long that is remembered.
redis.call('HSET', KEYS[1], 'x', '1')
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
