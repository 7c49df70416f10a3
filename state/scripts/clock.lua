-- clock: notice that the server's clock was set back since it was looked at last. One caller is told, and mends.
--
-- KEYS[1] -> head
-- ARGV[1] -> ms by which the clock may be behind what was seen before
--
-- Returns {"goes on", now} | {"set back", now, ms by which}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = redis.call("HMGET", KEYS[1], "clock_ms", "updated_ms")
local seen = math.max(tonumber(kept[1] or 0), tonumber(kept[2] or 0))
redis.call("HSET", KEYS[1], "clock_ms", now)
if seen - now <= tonumber(ARGV[1]) then
  return {"goes on", now}
end
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
  local is_time = field == "updated_ms" or field == "last_run_ms" or string.sub(field, 1, 10) == "arrived_ms"
  if is_time and tonumber(redis.call("HGET", KEYS[1], field)) > now then
    redis.call("HSET", KEYS[1], field, now)
  end
end
return {"set back", now, seen - now}
