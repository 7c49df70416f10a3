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
--! include now history agent restart
local K = named({
  "key", "call", "waiting", "held", "history", "agent_meta", "metrics", "ledger", "queued", "followed"
}, KEYS)
local A = named({"key", "how", "by", "reason", "result", "seen_state", "seen_fence"}, ARGV)

local key = fields(K.key, "state", "fence", "call", "payload")
local state, call = key.state or "gone", key.call -- a key that was restored from a state file has no call
if state ~= A.seen_state or (key.fence or "") ~= A.seen_fence then
  return {"kept", state}
end
local to = ({applied = "done", ["not-applied"] = "waiting", approve = "waiting", cancel = "cancelled"})[A.how]
if to == "waiting" and not call then
  to = "rejected" -- a new call may use the key
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
end

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
    redis.call("ZADD", K.followed, now, call) -- the followers of this end are registered too
  end
end
if to == "done" then
  redis.call("HSET", K.key, "result", A.result, "done_ms", now)
  if key.payload then
    redis.call("HSET", K.ledger, "sent:" .. A.key, key.fence or 0)
  end
  redis.call("HINCRBY", K.metrics, "total_done", 1)
elseif to == "waiting" then
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
  restart_call(K.call)
  redis.call("ZADD", K.waiting, now, call)
elseif to == "cancelled" then
  redis.call("HSET", K.key, "why", "cancelled by " .. A.by .. ": " .. A.reason)
  if call then
    local answer = {error = "cancelled", stage = "person", by = A.by, why = A.reason}
    redis.call("HSET", K.call, "answer", cjson.encode(answer))
  end
end
append_event(K.history, {
  at = now, event = "resolved", how = A.how, by = A.by, why = A.reason, before = state, state = to,
})
count_change(K.agent_meta)
return {"resolved", to}
