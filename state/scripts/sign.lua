-- sign: a process says that it lives, or that it was asked to stop. Times are the server's; no safety rests on them.
--
-- KEYS[1] -> signs
-- ARGV[1] -> process: its kind, machine and pid   ARGV[2] -> what it says of itself, JSON   ARGV[3] -> "alive" | "stopped"
-- ARGV[4] -> ms since its last good sweep, -1 for one that does not sweep
-- ARGV[5] -> ms after which the sign of a process that said nothing more is forgotten   ARGV[6] -> at most so many signs
--
-- Returns {"kept", ms}: the time at which it is
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local name = ARGV[1]

local sign = cjson.decode(ARGV[2])
local before = redis.call("HGET", KEYS[1], name)
local known = before and cjson.decode(before)
if known and known.token == sign.token then
  sign.since_ms = known.since_ms
else
  sign.since_ms = now
end
sign.seen_ms = now
sign.stopped = ARGV[3] == "stopped"
local swept = tonumber(ARGV[4])
if swept >= 0 then
  sign.swept_ms = now - swept
end
redis.call("HSET", KEYS[1], name, cjson.encode(sign))

if not known or redis.call("HLEN", KEYS[1]) > tonumber(ARGV[6]) then -- a new process: now and then, forget old ones
  local all, oldest = redis.call("HGETALL", KEYS[1]), {}
  for i = 1, #all, 2 do
    local seen = cjson.decode(all[i + 1]).seen_ms
    if seen < now - tonumber(ARGV[5]) then
      redis.call("HDEL", KEYS[1], all[i])
    else
      oldest[#oldest + 1] = {seen, all[i]}
    end
  end
  table.sort(oldest, function(a, b) return a[1] < b[1] end)
  for i = 1, #oldest - tonumber(ARGV[6]) do
    redis.call("HDEL", KEYS[1], oldest[i][2])
  end
end
return {"kept", now}
