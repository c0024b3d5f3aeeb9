-- Changes fields of the store's own hash, where all of them are as expected. KEYS: that hash. ARGV: channel, message ('' where nobody is told); for
-- each field its name, what it is ('=' and the value, or '-' for absent), what it becomes. Returns 1 where that was done.
local function number(field, value)
  return string.sub(field, 1, 11) == 'repository:' and string.match(value, '^=?(%d+) ')
end

local had = {}
for i = 3, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if (held and '=' .. held or '-') ~= ARGV[i + 1] then return 0 end
  local before = number(ARGV[i], ARGV[i + 1])
  if before then had[before] = true end
end
-- Whoever has the number of another has its entries, and whoever has that of what is being removed loses its own.
for i = 3, #ARGV, 3 do
  local new = number(ARGV[i], ARGV[i + 2])
  if new and not had[new] then
    if redis.call('HEXISTS', KEYS[1], 'ending:' .. new) == 1 then return 0 end
    local all = redis.call('HGETALL', KEYS[1])
    for k = 1, #all, 2 do
      if number(all[k], all[k + 1]) == new then return 0 end
    end
  end
end
for i = 3, #ARGV, 3 do
  if ARGV[i + 2] == '-' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], string.sub(ARGV[i + 2], 2))
  end
end
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return 1
