-- resolve: apply a person's decision about a key that no program may decide about.
--
-- Arguments:
--   key
--   how: "applied"    (the effect happened)
--     | "not-applied" (it did not: send it)
--     | "cancel"      (never send it)
--     | "approve"     (let it run; only for a key whose effect never began. Of a proposal: send exactly that)
--     | "revise"      (send this payload instead of the proposal)
--   result: JSON, to answer when the key is asked for again
--   payload: of a revision, JSON, or ""
--   revised: the event of a revision, JSON without its time, or ""
--   seen_state, seen_fence: of the key when the decision was read; seen_fence may be ""
--   seen: the version of the key that the person saw, or "" if that is not compared
--   decision: JSON {id, by, door, what, subject, why, …}: the entry of the list of decisions
-- Returns:
--   {"resolved", state, the decision with its time and its end}
--   {"kept", state}
--! include now history agent restart version audit
local K = named({
  "key", "call", "waiting", "held", "waits", "asks", "expiring", "history", "agent_meta", "metrics", "ledger", "queued",
  "followed", "dead", "audit", "unwritten"
}, KEYS)
local A = named({"key", "how", "result", "payload", "revised", "seen_state", "seen_fence", "seen", "decision"}, ARGV)

local key = fields(K.key, "state", "fence", "call", "payload", "revision", "kind", "expires_ms", "proposal")
local state, call = key.state or "gone", key.call -- a key that was restored from a state file has no call
local said = cjson.decode(A.decision)
local was_seen = A.seen == "" or A.seen == version_of(key.state, key.fence, key.call, key.revision, key.payload)
if state ~= A.seen_state or (key.fence or "") ~= A.seen_fence or not was_seen then
  return {"kept", state}
elseif A.how == "approve" and key.kind and tonumber(key.expires_ms) <= now then
  return {"kept", "expired"} -- the request is over, although no sweeper ended it yet
elseif A.how == "revise" and (key.payload or not key.proposal or redis.call("EXISTS", K.call) == 0) then
  return {"kept", state}
end
local to = ({
  applied = "done", ["not-applied"] = "waiting", approve = "waiting", revise = "waiting", cancel = "cancelled",
})[A.how]
if to == "waiting" and not call then
  to = "rejected" -- a new call may use the key
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
end

redis.call("HSET", K.key, "state", to, "unwritten", A.how) -- until the journal has it
redis.call("HDEL", K.key, "since_ms", "why", "absences", "looks", "proofs", "lease_ms")
redis.call("HDEL", K.held, A.key)
redis.call("ZREM", K.waits, A.key)
redis.call("ZREM", K.asks, A.key)
redis.call("HDEL", K.key, "kind", "asked_ms", "expires_ms")
redis.call("ZREM", K.expiring, A.key)
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
-- What may be sent from now on without another question: what a person approved, or what a person said to be absent.
local revision = tonumber(key.revision or 0)
if A.how == "revise" or (A.how == "not-applied" and key.payload and to == "waiting") then
  --! include payload
  revision = revision + 1
  redis.call("HSET", K.key, "proposal", key.payload or A.payload, "revision", revision, "approved", revision)
  if A.how == "revise" then
    forget_points(K.key)
    redis.call("ZREM", K.dead, call)
    append_events(K.key, K.history, '{"at":' .. string.format("%.0f", now) .. "," .. string.sub(A.revised, 2))
  end
elseif A.how == "approve" and key.kind then
  redis.call("HSET", K.key, "approved", revision)
elseif to ~= "waiting" then
  redis.call("HDEL", K.key, "approved")
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
  redis.call("HSET", K.key, "why", "cancelled by " .. said.by .. ": " .. said.why)
  if call then
    local answer = {error = "cancelled", stage = "person", by = said.by, why = said.why}
    redis.call("HSET", K.call, "answer", cjson.encode(answer))
  end
end
append_event(K.key, K.history, {
  at = now, event = "resolved", how = A.how, by = said.by, door = said.door, why = said.why, before = state, state = to,
  revision = key.proposal and revision or nil,
})
local decision = note_decision(K.audit, K.unwritten, said, state, to)
count_change(K.agent_meta)
return {"resolved", to, decision}
