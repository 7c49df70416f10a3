-- expire: end a request for an approval whose time is over. This can only prevent an effect. An effect in doubt never expires.
--
-- Arguments:
--   key, call: as the caller found them
-- Returns:
--   {"expired", fence, revision, why}
--   {"kept", state}
--! include now history agent errors
--! constants EXPIRED
local K = named({"key", "call", "held", "waits", "asks", "expiring", "history", "agent_meta", "metrics", "events", "followed"}, KEYS)
local A = named({"key", "call"}, ARGV)

local key = fields(K.key, "state", "kind", "call", "fence", "revision", "expires_ms", "task", "payload", "asked_ms")
if key.state ~= "held" or not key.kind or (key.call or "") ~= A.call then
  redis.call("ZREM", K.expiring, A.key)
  return {"kept", key.state or "gone"}
elseif tonumber(key.expires_ms) > now then
  redis.call("ZADD", K.expiring, key.expires_ms, A.key)
  return {"kept", key.state}
end
local receipt = {error = EXPIRED, stage = "approval", revision = tonumber(key.revision), asked = (now - key.asked_ms) / 1000}
redis.call("HSET", K.key, "state", "rejected", "why", EXPIRED)
redis.call("HDEL", K.key, "kind", "asked_ms", "expires_ms", "since_ms", "approved")
redis.call("HDEL", K.held, A.key)
redis.call("ZREM", K.waits, A.key)
redis.call("ZREM", K.asks, A.key)
redis.call("ZREM", K.expiring, A.key)
redis.call("HSET", K.call, "state", "rejected", "answer", cjson.encode(receipt))
if redis.call("HEXISTS", K.call, "options") == 1 then
  redis.call("ZADD", K.followed, now, A.call)
end
redis.call("HINCRBY", K.metrics, "total_refused", 1)
redis.call("HINCRBY", K.metrics, "refused_approval", 1)
stream_event(K.events, "refusal", cjson.encode({task = key.task, key = A.key, call = A.call, stage = "approval", error = EXPIRED}))
append_event(K.key, K.history, {at = now, event = "expired", why = EXPIRED, call = A.call, revision = receipt.revision})
count_change(K.agent_meta)
return {"expired", key.fence or "0", key.revision or "0", EXPIRED}
