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
--! include now history payload errors agent hold rebuilt
local K = named({
  "key", "call", "queued", "waiting", "running", "held", "waits", "asks", "expiring",
  "history", "ledger", "agent_meta", "followed", "dead"
}, KEYS)
local A = named({
  "key", "state", "call", "fence", "reason", "task", "kwargs", "fingerprint", "origin", "keep_ms", "ended_ms",
  "token", "is_followed", "call_fields", "forgets", "key_fields..."
}, ARGV)

if A.token ~= "" and redis.call("HGET", K.ledger, "recovering") ~= A.token then
  return {"lost"}
end
local key = fields(K.key, "state", "fence", "payload", "settled", "owner", "frozen_by", "started_ms", "lease_ms", "why", "since_ms", "kind",
  "revision")
local state, fence, to = key.state, tonumber(key.fence or 0), A.state
local journal_fence, of_call = tonumber(A.fence), fields_of_call(A.call_fields)
-- After a loss of everything, a key that is done is written without a look at lists that are not there.
local may_be_listed = state or redis.call("EXISTS", K.held, K.waits, K.asks, K.expiring, K.running, K.waiting, K.dead) > 0

local function among_fields(name)
  for i = 1, #A.key_fields, 2 do
    if A.key_fields[i] == name then
      return A.key_fields[i + 1]
    end
  end
end

local function redis_knows_more()
  if not state then
    return false
  elseif state == "done" or fence > journal_fence then
    return true
  elseif to == "waiting" or to == "rejected" then
    return state == "queued" or state == "waiting" or state == "rejected" or state == "cancelled"
  elseif to == "held" and key.kind then
    return state == "held" and fence == journal_fence and key.revision == among_fields("revision")
  elseif to == "unknown" then
    local is_decided = state == "sending" or state == "unknown" or state == "held" or state == "cancelled"
    return fence == journal_fence and (is_decided or key.settled == A.fence)
  end
  return false
end

local function write_call()
  local was = store_call(K.call, to, A.task, A.key, A.kwargs, A.fingerprint, A.origin, of_call)
  if A.is_followed == "1" then
    redis.call("ZADD", K.followed, now, A.call)
  end
  if to == "waiting" then
    redis.call("PERSIST", K.call)
    redis.call("HDEL", K.call, "answer")
    redis.call("ZADD", K.waiting, math.max(now, tonumber(of_call.at_ms or now)), A.call)
  elseif may_be_listed then
    redis.call("ZREM", K.waiting, A.call)
  end
  if (to == "cancelled" or to == "rejected") and was ~= to then -- the answer to its message, in case that still comes
    local error = to == "cancelled" and to or A.reason
    redis.call("HSET", K.call, "answer", cjson.encode({error = error, stage = "journal", why = A.reason}))
  end
  if to == "rejected" then
    list_dead(K.dead, A.call, A.ended_ms)
  elseif may_be_listed then
    redis.call("ZREM", K.dead, A.call)
  end
end

--! include rebuild_complete

local function write_key()
  -- Redis may know an earlier doubt about this payload that these files of the journal do not reach back to.
  if A.forgets ~= "" and (not key.payload or key.frozen_by == A.fence) then
    forget_payload(K.key, A.forgets)
  end
  if state then
    redis.call("PERSIST", K.key)
    redis.call("HDEL", K.key, "frozen_by", "kind", "asked_ms", "expires_ms", "approved", -- of an earlier question
      "absences", "looks", "proofs", "lease_ms", "why") -- of an earlier doubt
  end
  if may_be_listed then
    redis.call("ZREM", K.expiring, A.key)
  end
  local told, when = "call", A.call -- once more, where there is neither
  if to == "done" then
    told, when = "done_ms", A.ended_ms
  elseif to ~= "waiting" then
    told, when = "why", A.reason
  end
  store_key(K.key, to, A.call, A.task, A.fingerprint, A.fence, told, when, unpack(A.key_fields))
  if among_fields("kind") then
    local expires_ms, revision = unpack(redis.call("HMGET", K.key, "expires_ms", "revision"))
    --! include ask
    list_asked(tonumber(redis.call("HGET", K.key, "since_ms")), expires_ms, revision, A.reason)
  elseif to == "unknown" or to == "held" then
    local since = tonumber(redis.call("HGET", K.key, "since_ms") or now)
    redis.call("HSET", K.key, "since_ms", since)
    list_held(K.held, K.waits, A.key, to, since, A.reason)
  elseif may_be_listed then
    redis.call("HDEL", K.held, A.key)
    redis.call("ZREM", K.waits, A.key)
    redis.call("ZREM", K.asks, A.key)
  end
  if to == "rejected" then
    redis.call("PEXPIRE", K.key, A.keep_ms)
  end
  if may_be_listed then
    redis.call("ZREM", K.running, A.key)
  end
end

local function mark_sent()
  local began = key.payload or among_fields("payload")
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
local rebuilt = rebuilt_event(to, A.reason, state, A.call)
if state then
  append_event(K.key, K.history, rebuilt)
else -- the key notes nothing of its past
  redis.call("RPUSH", K.history, cjson.encode(rebuilt))
  if to == "rejected" then
    redis.call("PEXPIRE", K.history, A.keep_ms)
  end
end
if A.token == "" then
  count_change(K.agent_meta)
else -- a recovery writes the time at its end
  redis.call("HINCRBY", K.agent_meta, "revision", 1)
end
return {"rebuilt", to}
