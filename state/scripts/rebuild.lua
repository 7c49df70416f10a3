-- rebuild: write one key as the journal knows it, unless Redis knows more.
--
-- Arguments:
--   key
--   state: "done" | "unknown" | "held" | "cancelled" | "rejected" | "waiting"
--   call
--   fence: 0 if no attempt began the effect
--   reason: why the key is in this state, or ""
--   task, kwargs, fingerprint, origin: of the call
--   keep_ms: how long a call that ended is kept
--   ended_ms: when it ended
--   token: of the recovery that fills an empty Redis, or ""
--   is_followed: "1" if other calls follow it
--   call_fields: further fields of the call, JSON {name: text}; at_ms among them is when it is due
--   forgets: "failed" | "refused": how the attempt with this fence ended, if the payload was its own and is deleted; or ""
--   key_fields: further fields of the key, name and value in turn
-- Returns:
--   {"rebuilt", state}
--   {"kept", state}
--   {"lost"}              Redis lost data again since the recovery began
--! include now history payload errors agent hold
local K = named({
  "key", "call", "queued", "waiting", "running", "held", "history", "ledger", "agent_meta", "followed", "dead"
}, KEYS)
local A = named({
  "key", "state", "call", "fence", "reason", "task", "kwargs", "fingerprint", "origin", "keep_ms", "ended_ms",
  "token", "is_followed", "call_fields", "forgets", "key_fields..."
}, ARGV)

if A.token ~= "" and redis.call("HGET", K.ledger, "recovering") ~= A.token then
  return {"lost"}
end
local key = fields(K.key, "state", "fence", "payload", "settled", "owner", "frozen_by", "started_ms", "lease_ms", "why", "since_ms")
local state, fence, to = key.state, tonumber(key.fence or 0), A.state
local journal_fence, of_call = tonumber(A.fence), cjson.decode(A.call_fields)

local function redis_knows_more()
  if not state then
    return false
  elseif state == "done" or fence > journal_fence then
    return true
  elseif to == "waiting" or to == "rejected" then
    return state == "queued" or state == "waiting" or state == "rejected" or state == "cancelled"
  elseif to == "unknown" then
    local is_decided = state == "sending" or state == "unknown" or state == "held" or state == "cancelled"
    return fence == journal_fence and (is_decided or key.settled == A.fence)
  end
  return false
end

local function write_call()
  local was = redis.call("HGET", K.call, "state")
  redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", A.kwargs, "fingerprint", A.fingerprint,
    "door", A.origin, "state", to, "effect", "1")
  for name, value in pairs(of_call) do
    redis.call("HSETNX", K.call, name, value)
  end
  redis.call("HSETNX", K.call, "at_ms", now)
  if A.is_followed == "1" then
    redis.call("ZADD", K.followed, now, A.call)
  end
  if to == "waiting" then
    redis.call("PERSIST", K.call)
    redis.call("HDEL", K.call, "answer")
    redis.call("ZADD", K.waiting, math.max(now, tonumber(of_call.at_ms or now)), A.call)
  else
    redis.call("ZREM", K.waiting, A.call)
  end
  if (to == "cancelled" or to == "rejected") and was ~= to then -- the answer to its message, in case that still comes
    local error = to == "cancelled" and to or A.reason
    redis.call("HSET", K.call, "answer", cjson.encode({error = error, stage = "journal", why = A.reason}))
  end
  if to == "rejected" then
    list_dead(K.dead, A.call, A.ended_ms)
  else
    redis.call("ZREM", K.dead, A.call)
  end
end

-- An eviction takes whole keys of Redis: a list may be gone while what it listed is still there.
local function list_again()
  local call_state = redis.call("HGET", K.call, "state")
  local is_listed = redis.call("ZSCORE", K.queued, A.call) or redis.call("ZSCORE", K.waiting, A.call)
  if (call_state == "queued" or call_state == "waiting") and not is_listed then
    redis.call("ZADD", K.waiting, math.max(now, tonumber(of_call.at_ms or now)), A.call)
  end
  if (state == "claimed" or state == "sending") and not redis.call("ZSCORE", K.running, A.key) then
    redis.call("ZADD", K.running, tonumber(key.lease_ms or now), A.key)
  end
end

-- Redis knows more of the key: only what Redis lost beside it is written.
local function complete()
  list_again()
  if #A.key_fields > 0 and (fence == journal_fence or not key.payload) then
    redis.call("HSET", K.key, unpack(A.key_fields)) -- the first payload, and the checkpoints
    if fence > journal_fence and key.owner then
      redis.call("HSET", K.key, "owner", key.owner) -- a newer attempt has the key
    end
  end
  local can_look_up = redis.call("HEXISTS", K.key, "verify") == 1
  if state == "unknown" and can_look_up and not redis.call("ZSCORE", K.waiting, A.call) then
    redis.call("ZADD", K.waiting, now, A.call)
  end
  if (state == "unknown" or state == "held") and redis.call("HEXISTS", K.held, A.key) == 0 then
    list_held(K.held, A.key, state, tonumber(key.since_ms or now), key.why or A.reason)
  end
  if to == "waiting" and redis.call("EXISTS", K.call) == 0 then
    write_call() -- another call has the key; this one is answered too
  end
  local is_open = state == "waiting" or state == "queued" or state == "claimed" or state == "rejected"
  if redis.call("HEXISTS", K.key, "payload") == 1 and not is_open then
    redis.call("HSET", K.ledger, "sent:" .. A.key, fence)
  end
  return {"kept", state}
end

local function write_key()
  -- Redis may know an earlier doubt about this payload that these files of the journal do not reach back to.
  if A.forgets ~= "" and (not key.payload or key.frozen_by == A.fence) then
    forget_payload(K.key, A.forgets)
  end
  redis.call("HDEL", K.key, "frozen_by")
  redis.call("HSET", K.key, "state", to, "call", A.call, "task", A.task, "fingerprint", A.fingerprint, "fence", A.fence,
    unpack(A.key_fields))
  if state then
    redis.call("PERSIST", K.key)
    redis.call("HDEL", K.key, "absences", "looks", "proofs", "lease_ms", "why") -- of an earlier doubt
  end
  if to == "done" then
    redis.call("HSET", K.key, "done_ms", A.ended_ms)
  elseif to ~= "waiting" then
    redis.call("HSET", K.key, "why", A.reason)
  end
  if to == "unknown" or to == "held" then
    local since = tonumber(redis.call("HGET", K.key, "since_ms") or now)
    redis.call("HSET", K.key, "since_ms", since)
    list_held(K.held, A.key, to, since, A.reason)
  else
    redis.call("HDEL", K.held, A.key)
  end
  if to == "rejected" then
    redis.call("PEXPIRE", K.key, A.keep_ms)
  end
  redis.call("ZREM", K.running, A.key)
end

local function mark_sent()
  local began = key.payload
  for i = 1, #A.key_fields, 2 do
    began = began or A.key_fields[i] == "payload"
  end
  if to == "waiting" or to == "rejected" then
    redis.call("HDEL", K.ledger, "sent:" .. A.key)
  elseif began and to ~= "cancelled" then
    redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
  end
end

if redis_knows_more() then
  return complete()
end
if to == "waiting" and key.started_ms then
  redis.call("HSET", K.call, "paid_ms", key.started_ms, "again", 1) -- its slots of the rates, as in settle.lua
end
write_key()
write_call()
if to == "unknown" and redis.call("HEXISTS", K.key, "verify") == 1 then
  redis.call("ZADD", K.waiting, now, A.call)
end
if to == "done" or to == "rejected" then
  redis.call("PEXPIRE", K.call, A.keep_ms)
end
mark_sent()
append_event(K.history, {
  at = now, event = "rebuilt", state = to, from = "the journal", why = A.reason, before = state or "gone", call = A.call,
})
count_change(K.agent_meta)
return {"rebuilt", to}
