-- 10,000 URLs in an order of their own for each thread.
local n = 0
function init(args)
  math.randomseed(os.time())
end
function request()
  return wrk.format("GET", "/hit/" .. math.random(0, 9999))
end
