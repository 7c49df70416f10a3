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
--! include prelude now
local K = named({"rate"}, KEYS)
local A = named({"burst", "every_ms"}, ARGV)
local burst, every = tonumber(A.burst), tonumber(A.every_ms)

local tat = math.max(tonumber(redis.call("HGET", K.rate, "tat_ms") or 0), now)
-- No rule books further ahead than its burst: the clock was ahead, and is right again. Kept, so that time counts from now.
if tat > now + burst * every then
  tat = now + burst * every
  redis.call("HSET", K.rate, "tat_ms", tat)
  redis.call("PEXPIRE", K.rate, math.ceil(2 * burst * every))
end
local opens = tat + every - burst * every
if opens > now then
  return {"wait", math.ceil(opens - now)}
end
redis.call("HSET", K.rate, "tat_ms", tat + every)
redis.call("PEXPIRE", K.rate, math.ceil(tat + every - now + burst * every))
return {"through"}
