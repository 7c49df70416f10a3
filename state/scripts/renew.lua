-- renew: extend the lease of a claim that this owner still holds, and its time as a breaker's probe.
--
-- Keys:
--   breaker: the breaker of this task and these arguments
-- Arguments:
--   key, owner, fence: of the claim
--   lease_ms: how long the claim lasts from now on
-- Returns:
--   {"renewed"}
--   {"lost", state}
--! include prelude now
local K = named({"key", "running", "breaker"}, KEYS)
local A = named({"key", "owner", "fence", "lease_ms"}, ARGV)
local key = redis.call("HMGET", K.key, "state", "owner", "fence")
local held = key[1] == "claimed" or key[1] == "sending"
if not held or key[2] ~= A.owner or key[3] ~= A.fence then
  return {"lost", key[1] or "gone"}
end
redis.call("HSET", K.key, "lease_ms", now + A.lease_ms)
redis.call("ZADD", K.running, now + A.lease_ms, A.key)
if redis.call("HGET", K.breaker, "probe") == A.key then
  redis.call("HSET", K.breaker, "probe_until_ms", now + A.lease_ms)
end
return {"renewed"}
