-- throttle: let so much through at once, and then one after the other, evenly. What is held back takes nothing.
--
-- KEYS[1] -> rate
-- ARGV[1] -> burst: how many may come at once   ARGV[2] -> ms between two, once the burst is used up
--
-- Returns {"through"} | {"wait", ms}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local burst, every = tonumber(ARGV[1]), tonumber(ARGV[2])

local tat = math.max(tonumber(redis.call("HGET", KEYS[1], "tat_ms") or 0), now)
-- No rule books further ahead than its burst: the clock was ahead, and is right again. Kept, so that time counts from now.
if tat > now + burst * every then
  tat = now + burst * every
  redis.call("HSET", KEYS[1], "tat_ms", tat)
  redis.call("PEXPIRE", KEYS[1], math.ceil(2 * burst * every))
end
local opens = tat + every - burst * every
if opens > now then
  return {"wait", math.ceil(opens - now)}
end
redis.call("HSET", KEYS[1], "tat_ms", tat + every)
redis.call("PEXPIRE", KEYS[1], math.ceil(tat + every - now + burst * every))
return {"through"}
