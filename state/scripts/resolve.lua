-- resolve: apply a person's decision about a key that no program may decide about.
--
-- Arguments:
--   key
--   how: "applied"    (the effect happened)
--     | "not-applied" (it did not: send it)
--     | "cancel"      (never send it)
--     | "approve"     (let it run; only for a key whose effect never began)
--   by: the person; reason: why
--   result: JSON, to answer when the key is asked for again
--   seen_state, seen_fence: of the key when the person decided; seen_fence may be ""
-- Returns:
--   {"resolved", state}
--   {"kept", state}
--! include prelude now history
local K = named({
  "key", "call", "waiting", "held", "history", "agent_meta", "metrics", "ledger", "queued", "followed"
}, KEYS)
local A = named({"key", "how", "by", "reason", "result", "seen_state", "seen_fence"}, ARGV)
local key = redis.call("HMGET", K.key, "state", "fence", "call", "payload")
local state, call = key[1] or "gone", key[3] -- one that was restored from a state file has no call
if state ~= A.seen_state or (key[2] or "") ~= A.seen_fence then
  return {"kept", state}
end
local to = ({applied = "done", ["not-applied"] = "waiting", approve = "waiting", cancel = "cancelled"})[A.how]
if to == "waiting" and not call then
  to = "rejected" -- and may be asked for anew
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
end
local receipt = {at = now, event = "resolved", how = A.how, by = A.by, why = A.reason, before = state, state = to}

redis.call("HSET", K.key, "state", to, "unwritten", A.how) -- until the journal has it
redis.call("HDEL", K.key, "since_ms", "why", "absences", "looks", "proofs", "lease_ms")
redis.call("HDEL", K.held, A.key)
redis.call("PERSIST", K.key)
redis.call("PERSIST", K.history)
if call then
  redis.call("ZREM", K.waiting, call)
  redis.call("ZREM", K.queued, call)
  redis.call("HSET", K.call, "state", to)
  if redis.call("HEXISTS", K.call, "options") == 1 then
    redis.call("ZADD", K.followed, now, call) -- this is another end than one that was followed before
  end
end
if to == "done" then
  redis.call("HSET", K.key, "result", A.result, "done_ms", now)
  if key[4] then
    redis.call("HSET", K.ledger, "sent:" .. A.key, key[2] or 0)
  end
  redis.call("HINCRBY", K.metrics, "total_done", 1)
elseif to == "waiting" then
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
  redis.call("HSET", K.call, "at_ms", now, "attempts", 0, "lost", 0, "again", 1)
  redis.call("HDEL", K.call, "answer", "booked_ms", "expires_ms", "waits", "waits_since_ms", "waits_why", "paid_ms")
  redis.call("PERSIST", K.call)
  redis.call("ZADD", K.waiting, now, call)
elseif to == "cancelled" then
  redis.call("HSET", K.key, "why", "cancelled by " .. A.by .. ": " .. A.reason)
  if call then
    local answer = {error = "cancelled", stage = "person", by = A.by, why = A.reason}
    redis.call("HSET", K.call, "answer", cjson.encode(answer))
  end
end
append_event(K.history, cjson.encode(receipt))
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"resolved", to}
