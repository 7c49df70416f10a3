-- point: keep what a provider gave in the first of two steps, so that a later attempt goes on from there.
--
-- KEYS[1] -> key
-- ARGV[1] -> owner     ARGV[2] -> fence     ARGV[3] -> name    ARGV[4] -> value
--
-- Returns {"kept"} | {"lost", state}
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence")
if key[2] ~= ARGV[1] or key[3] ~= ARGV[2] or (key[1] ~= "claimed" and key[1] ~= "sending") then
  return {"lost", key[1] or "gone"}
end
redis.call("HSET", KEYS[1], "point:" .. ARGV[3], ARGV[4])
return {"kept"}
