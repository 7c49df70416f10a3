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
--! include now breaker
local K = named({"key", "running", "breaker"}, KEYS)
local A = named({"key", "owner", "fence", "lease_ms"}, ARGV)

local key = fields(K.key, "state", "owner", "fence")
local is_held = key.state == "claimed" or key.state == "sending"
if not is_held or key.owner ~= A.owner or key.fence ~= A.fence then
  return {"lost", key.state or "gone"}
end
redis.call("HSET", K.key, "lease_ms", now + A.lease_ms)
redis.call("ZADD", K.running, now + A.lease_ms, A.key)
if redis.call("HGET", K.breaker, "probe") == A.key then
  begin_probe(K.breaker, A.key, now + A.lease_ms)
end
return {"renewed"}
