-- admit: decide whether one call may run now, and claim its key if so. A refusal takes nothing.
--
-- Keys:
--   breaker: the breaker of this task and these arguments
--   limits: the caps in the order of the policy, then the rates
-- Arguments:
--   call, task, key, origin: of the call
--   kwargs: its arguments, JSON; fingerprint: of the arguments
--   owner: of this attempt; lease_ms: how long its claim lasts
--   policy: JSON {max_age_ms, keep_ms, caps: [{rule, limit, window_ms}],
--     rates: [{rule, burst, every_ms, wait_ms (0: refuse instead of waiting)}], breaker: {rule, cooldown_ms} or absent}
--   alive_owner: an owner that the caller checked and found alive, or ""; if it holds the key, the call is refused
--   epoch: the epoch that the journal knows, or "" for a task without an effect
--   fence: the highest fence that the journal knows
--   closed_reason: why no effect may happen where this call runs, or ""
--   sent_kwargs: arguments as the message carries them, JSON written as kwargs is; "" if they are positional or not JSON
--   accepts_unregistered: "1" to admit a call that was never registered, "" to be told first
--   expires_ms: ms since 1970 after which a call that was never registered is refused, "" for never
-- Returns:
--   {"claimed", fence, attempt, now, payload that was frozen before or "", origin of the call, 1 if its caller does not retry,
--     options of the call (JSON) or "", how often in a row its service could not take it, fingerprint as registered}
--   {"verify", now, owner, fence, attempt, payload}    the outcome is unknown, and a look-up is due
--   {"replay", now, result, flaw}                      the key is done
--   {"refused", now, receipt}
--   {"deferred", now, receipt}
--   {"ended", now, receipt}                            this call ended before: same answer
--   {"unchecked", now}                                 the server restarted, or has another epoch: compare it with the journal, ask again
--   {"other key", now, key}                            this call is registered under another key: ask again with that key
--   {"unregistered", now}                              this agent has no such call: see whether another agent has it, ask again
--   {"differs", now, task, arguments}                  the message does not match what is registered; nothing was changed
--   {"early", now, due}                                this call waits until `due`; nothing was changed
--   {"busy", now, owner, fence, lease_ms, call that holds the key}
--! include now history errors agent caps gcra breaker soundness
--! constants WEBHOOK PAUSE_RETRY_MS LEDGER_RETRY_MS RECOVER
local K = named({
  "key", "call", "queued", "waiting", "running", "agent_meta", "metrics", "history", "breaker", "events", "ledger",
  "dead", "errors", "limits..."
}, KEYS)
local A = named({
  "call", "task", "key", "kwargs", "fingerprint", "origin", "owner", "lease_ms", "policy", "alive_owner", "epoch",
  "fence", "closed_reason", "sent_kwargs", "accepts_unregistered", "expires_ms"
}, ARGV)
local policy = cjson.decode(A.policy)
local caps, rates = {unpack(K.limits, 1, #policy.caps)}, {unpack(K.limits, #policy.caps + 1)}

local key = fields(K.key, "state", "call", "fingerprint", "owner", "fence", "lease_ms", "started_ms", "task", "payload",
  "verify", "result", "flaw", "why", "attempts")
local call = fields(K.call, "state", "task", "key", "kwargs", "fingerprint", "door", "options", "lane", "at_ms", "sent_ms",
  "expires_ms", "booked_ms", "paid_ms", "attempts", "again", "answer", "waits", "waits_since_ms", "waits_why")
local lane = "arrived_ms:" .. (call.lane or "")
local pause, newest_ms = unpack(redis.call("HMGET", K.agent_meta, "pause", lane))
local due = redis.call("ZSCORE", K.waiting, A.call)
local state = key.state or "new"
local is_mine = key.call == A.call
local is_reusable = state == "new" or state == "rejected"
local is_free = is_reusable or state == "queued" or state == "waiting"

-- What was registered counts. A call has no fingerprint if its key was carried over without it.
local is_registered = call.fingerprint and call.fingerprint ~= ""
local kwargs = is_registered and call.kwargs or A.kwargs
local fingerprint = is_registered and call.fingerprint or A.fingerprint
local origin = call.door or A.origin -- a registered call came in before its message did
local expires_ms = call.expires_ms or (not call.state and A.expires_ms ~= "" and A.expires_ms)
local called_ms = tonumber(call.at_ms or now)
local has_effect = A.epoch ~= "" or A.closed_reason ~= ""

-- The sender of a webhook was told that the call is accepted; a call that was tried before, or that a person wants to run,
-- has no caller that retries either. Every other caller retries by itself.
local caller_does_not_retry = origin == WEBHOOK or tonumber(call.attempts or 0) > 0 or call.again
--! include admit_receipts admit_limits

-- The register says what a call is; a message only says that it should run. A message with another task or other arguments
-- is not this call's, and one that comes before the call is due changes nothing. A code change may add an argument with a
-- default, or change the template of the key: then the message is still what was registered.
local function check_identity()
  if not call.state then
    if A.accepts_unregistered == "" then
      return {"unregistered", now}
    end
    return nil
  end
  if is_registered and (call.task ~= A.task or (fingerprint ~= A.fingerprint and kwargs ~= A.sent_kwargs)) then
    return {"differs", now, call.task, kwargs}
  end
  if call.key and call.key ~= A.key then
    return {"other key", now, call.key}
  end
  if due and tonumber(due) > now then
    return {"early", now, tonumber(due)}
  end
end

local function check_call()
  if call.state == "rejected" or call.state == "cancelled" then
    redis.call("ZREM", K.queued, A.call)
    redis.call("ZREM", K.waiting, A.call)
    return {"ended", now, call.answer}
  end
end

local function check_ledger()
  if not has_effect then
    return nil
  end
  local why, must_compare = A.closed_reason, false
  if why == "" then
    why, must_compare = ledger_fault(K.ledger, A.key, key.payload, A.epoch, tonumber(A.fence))
  end
  if must_compare then
    return {"unchecked", now}
  elseif why then
    local next = A.closed_reason == "" and RECOVER or nil
    return defer("ledger", "effects are closed", now + LEDGER_RETRY_MS, {why = why, next = next})
  end
end

local function check_pause()
  if pause then
    local record = cjson.decode(pause)
    return wait_or_refuse("paused", "paused", now + PAUSE_RETRY_MS, {by = record.by, why = record.why})
  end
end

local function check_age()
  if expires_ms and now > tonumber(expires_ms) then
    return give_up("age", "expired", {age = (now - called_ms) / 1000})
  end
  if now - called_ms > policy.max_age_ms then
    return give_up("age", "too old", {age = (now - called_ms) / 1000, max_age = policy.max_age_ms / 1000})
  end
end

-- The newest message of a lane that arrived tells the sweeper which older ones are lost.
local function note_arrival()
  local newest = tonumber(newest_ms or 0)
  if call.sent_ms and (tonumber(call.sent_ms) > newest or newest > now) then
    redis.call("HSET", K.agent_meta, lane, math.min(call.sent_ms, now))
  end
end

local function claim()
  take_limits()
  note_arrival()
  local fences = A.epoch ~= "" and K.ledger or K.agent_meta
  local fence = redis.call("HINCRBY", fences, "fence", 1)
  local attempt = (call.attempts or 0) + 1
  redis.call("HSET", K.key, "state", "claimed", "task", A.task, "call", A.call, "fingerprint", fingerprint,
    "owner", A.owner, "fence", fence, "lease_ms", now + A.lease_ms, "started_ms", now, "epoch", A.epoch,
    "attempts", (key.attempts or 0) + 1)
  redis.call("HSET", K.call, "state", "claimed", "attempts", attempt)
  if call.paid_ms then
    redis.call("HDEL", K.call, "paid_ms")
  end
  if not call.state then
    redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", kwargs, "fingerprint", fingerprint,
      "door", A.origin, "at_ms", now, "effect", has_effect and "1" or "0")
    if expires_ms then
      redis.call("HSET", K.call, "expires_ms", expires_ms)
    end
    tell("arrived", {door = A.origin})
  end
  if state == "rejected" then
    redis.call("HDEL", K.key, "why")
    redis.call("PERSIST", K.key)
    redis.call("PERSIST", K.history)
  end
  redis.call("ZREM", K.queued, A.call)
  if due then
    redis.call("ZREM", K.waiting, A.call)
  end
  redis.call("ZADD", K.running, now + A.lease_ms, A.key)
  return claimed(fence, attempt)
end

return check_identity() or check_call() or check_ledger() or check_key() or check_pause() or check_age() or check_caps() or check_rates()
  or check_breaker() or claim()
