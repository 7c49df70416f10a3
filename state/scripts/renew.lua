-- renew: prolong the lease of a claim that is still held by this owner, and the time it has as a breaker's probe.
--
-- KEYS[1] -> key       KEYS[2] -> running   KEYS[3] -> breaker
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
if redis.call("HGET", KEYS[3], "probe") == ARGV[1] then
  redis.call("HSET", KEYS[3], "probe_until_ms", now + ARGV[4])
end
return {"renewed"}
