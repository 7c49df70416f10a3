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
local opens = tat + every - burst * every
if opens > now then
  return {"wait", math.ceil(opens - now)}
end
redis.call("HSET", KEYS[1], "tat_ms", tat + every)
redis.call("PEXPIRE", KEYS[1], math.ceil(tat + every - now + burst * every))
return {"through"}
