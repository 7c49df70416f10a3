-- renew: prolong the lease of a claim that is still held by this owner.
--
-- KEYS[1] -> key       KEYS[2] -> running
-- ARGV[1] -> key, as text   ARGV[2] -> owner   ARGV[3] -> fence   ARGV[4] -> lease, ms
--
-- Returns {"renewed"} | {"lost", state}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence")
local held = key[1] == "claimed" or key[1] == "sending"
if not held or key[2] ~= ARGV[2] or key[3] ~= ARGV[3] then
  return {"lost", key[1] or "gone"}
end
redis.call("HSET", KEYS[1], "lease_ms", now + ARGV[4])
redis.call("ZADD", KEYS[2], now + ARGV[4], ARGV[1])
return {"renewed"}
