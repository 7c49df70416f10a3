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
--   options: JSON, or ""
--   lane: of its messages, or ""
--   is_followed: "1" if other calls follow it
--   call_fields: further fields of the call, JSON {name: text}; at_ms among them is when it is due
--   forgets: "failed" | "refused": how the attempt with this fence ended, if the payload was its own and is deleted; or ""
--   key_fields: further fields of the key, name and value in turn
-- Returns:
--   {"rebuilt", state}
--   {"kept", state}
--   {"lost"}              Redis lost data again since the recovery began
--! include prelude now history forget
local K = named({
  "key", "call", "waiting", "running", "held", "history", "ledger", "agent_meta", "followed", "dead"
}, KEYS)
local A = named({
  "key", "state", "call", "fence", "reason", "task", "kwargs", "fingerprint", "origin", "keep_ms", "ended_ms",
  "token", "options", "lane", "is_followed", "call_fields", "forgets", "key_fields..."
}, ARGV)
if A.token ~= "" and redis.call("HGET", K.ledger, "recovering") ~= A.token then
  return {"lost"}
end
local living = redis.call("HMGET", K.key, "state", "fence", "payload", "settled", "owner", "frozen_by", "started_ms")
local state, fence, to = living[1], tonumber(living[2] or 0), A.state
local of_call, KEPT_DEAD = cjson.decode(A.call_fields), 1000

local function knows_more()
  if not state then
    return false
  elseif state == "done" or fence > tonumber(A.fence) then
    return true
  elseif to == "waiting" or to == "rejected" then
    return state == "queued" or state == "waiting" or state == "rejected" or state == "cancelled"
  elseif to == "unknown" then
    local decided = state == "sending" or state == "unknown" or state == "held" or state == "cancelled"
    return fence == tonumber(A.fence) and (decided or living[4] == A.fence)
  end
  return false
end

local function write_call()
  local was = redis.call("HGET", K.call, "state")
  redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", A.kwargs, "fingerprint", A.fingerprint, "door", A.origin,
    "state", to, "effect", "1")
  for name, value in pairs(of_call) do
    redis.call("HSETNX", K.call, name, value)
  end
  redis.call("HSETNX", K.call, "at_ms", now)
  if A.options ~= "" then
    redis.call("HSET", K.call, "options", A.options, "lane", A.lane)
  end
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
  if (to == "cancelled" or to == "rejected") and was ~= to then -- what its message is answered, should it still come
    local error = to == "cancelled" and to or A.reason
    redis.call("HSET", K.call, "answer", cjson.encode({error = error, stage = "journal", why = A.reason}))
  end
  if to == "rejected" then
    redis.call("ZADD", K.dead, A.ended_ms, A.call)
    redis.call("ZREMRANGEBYRANK", K.dead, 0, -KEPT_DEAD - 1)
  else
    redis.call("ZREM", K.dead, A.call)
  end
end

if knows_more() then
  if #A.key_fields > 0 and (fence == tonumber(A.fence) or not living[3]) then
    redis.call("HSET", K.key, unpack(A.key_fields)) -- the first payload, and what the provider gave, stay
    if fence > tonumber(A.fence) and living[5] then
      redis.call("HSET", K.key, "owner", living[5]) -- a newer attempt has the key
    end
  end
  if state == "unknown" and redis.call("HEXISTS", K.key, "verify") == 1 and not redis.call("ZSCORE", K.waiting, A.call) then
    redis.call("ZADD", K.waiting, now, A.call)
  end
  if (state == "unknown" or state == "held") and redis.call("HEXISTS", K.held, A.key) == 0 then
    local doubt = redis.call("HMGET", K.key, "why", "since_ms")
    local listed = {key = A.key, state = state, since = tonumber(doubt[2] or now), why = doubt[1] or A.reason}
    redis.call("HSET", K.held, A.key, cjson.encode(listed)) -- the list may be lost where the key is not
  end
  if to == "waiting" and redis.call("EXISTS", K.call) == 0 then
    write_call() -- another call has the key; this one is answered too
  end
  local crossed = redis.call("HEXISTS", K.key, "payload") == 1
  if crossed and state ~= "waiting" and state ~= "queued" and state ~= "claimed" and state ~= "rejected" then
    redis.call("HSET", K.ledger, "sent:" .. A.key, fence)
  end
  return {"kept", state}
end

-- Redis may know an earlier doubt about this text that these files of the journal do not reach back to.
if A.forgets ~= "" and (not living[3] or living[6] == A.fence) then
  forget_text(K.key, A.forgets)
end
redis.call("HDEL", K.key, "frozen_by")
if to == "waiting" and living[7] then
  redis.call("HSET", K.call, "paid_ms", living[7], "again", 1) -- its slots of the rates, as in settle.lua
end
redis.call("HSET", K.key, "state", to, "call", A.call, "task", A.task, "fingerprint", A.fingerprint, "fence", A.fence,
  unpack(A.key_fields))
if state then
  redis.call("PERSIST", K.key)
  redis.call("HDEL", K.key, "absences", "looks", "proofs", "lease_ms", "why") -- of an earlier doubt
end
redis.call("ZREM", K.running, A.key)
redis.call("HDEL", K.held, A.key)
write_call()
if to == "waiting" or to == "rejected" then
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
end
if to == "done" or to == "rejected" then
  redis.call("PEXPIRE", K.call, A.keep_ms)
end
if to == "done" then
  redis.call("HSET", K.key, "done_ms", A.ended_ms)
elseif to == "unknown" or to == "held" then
  local since = tonumber(redis.call("HGET", K.key, "since_ms") or now)
  redis.call("HSET", K.key, "why", A.reason, "since_ms", since)
  redis.call("HSET", K.held, A.key, cjson.encode({key = A.key, state = to, since = since, why = A.reason}))
  if to == "unknown" and redis.call("HEXISTS", K.key, "verify") == 1 then
    redis.call("ZADD", K.waiting, now, A.call)
  end
elseif to == "rejected" or to == "cancelled" then
  redis.call("HSET", K.key, "why", A.reason)
end
if to == "rejected" then
  redis.call("PEXPIRE", K.key, A.keep_ms)
end
local crossed = living[3]
for i = 1, #A.key_fields, 2 do
  crossed = crossed or A.key_fields[i] == "payload"
end
if crossed and (to == "done" or to == "unknown" or to == "held") then
  redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
end
local told = {at = now, event = "rebuilt", state = to, from = "the journal", why = A.reason, before = state or "gone", call = A.call}
append_event(K.history, cjson.encode(told))
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"rebuilt", to}
