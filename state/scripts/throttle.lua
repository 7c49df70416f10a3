-- throttle: let a burst through at once, and then one request after the other at the steady rate. A wait takes nothing.
--
-- Keys:
--   rate: the state of this rate
-- Arguments:
--   burst: how many may come at once
--   every_ms: ms between two, once the burst is used up
-- Returns:
--   {"through"}
--   {"wait", ms}
--! include now gcra
local K = named({"rate"}, KEYS)
local A = named({"burst", "every_ms"}, ARGV)

local burst, every = tonumber(A.burst), tonumber(A.every_ms)
local arrival = gcra_arrival(K.rate, redis.call("HGET", K.rate, "tat_ms"), burst, every)
local opens = gcra_opens(arrival, burst, every)
if opens > now then
  gcra_expire(K.rate, arrival, burst, every)
  return {"wait", math.ceil(opens - now)}
end
redis.call("HSET", K.rate, "tat_ms", arrival + every)
gcra_expire(K.rate, arrival + every, burst, every)
return {"through"}
