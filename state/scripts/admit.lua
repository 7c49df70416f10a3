-- admit: decide whether one call may run now, and claim its key if so. A refusal takes nothing.
--
-- Keys:
--   breaker: the breaker of this task and these arguments
--   limits: the caps in the order of the policy, then the rates, then the budgets
-- Arguments:
--   call, task, key, origin: of the call
--   kwargs: its arguments, JSON; fingerprint: of the arguments
--   owner: of this attempt; lease_ms: how long its claim lasts
--   max_age_ms: age at which it is refused; keep_ms: how long a call that ended is kept
--   policy: "" for a task without limits, else JSON {caps: [{rule, limit, window_ms}], budgets: as caps, or absent,
--     rates: [{rule, burst, every_ms, wait_ms (0: refuse instead of waiting)}], breaker: {rule, cooldown_ms} or absent}
--   alive_owner: an owner that the caller checked and found alive, or ""; if it holds the key, the call is refused
--   epoch: the epoch that the journal knows, or "" for a task without an effect
--   fence: the highest fence that the journal knows
--   closed_reason: why no effect may happen where this call runs, or ""
--   sent_kwargs: arguments as the message carries them, JSON written as kwargs is; "" if they are positional or not JSON
--   accepts_unregistered: "1" to admit a call that was never registered, "" to be told first
--   expires_ms: ms since 1970 after which a call that was never registered is refused, "" for never
--   mode: of the agent until a person chose one: "observe" | "ask" | "act"
-- Returns:
--   {"claimed", fence, attempt, now, payload that was frozen before or "", origin of the call, 1 if its caller does not retry,
--     options of the call (JSON) or "", how often in a row its service could not take it, fingerprint as registered,
--     when its message was sent or "", mode of the agent, payload that a person approved or "", revision of the newest
--     payload that a person was asked about}
--   {"verify", now, owner, fence, attempt, payload, 1 if it is known that its owner can send nothing any more}
--                                                      the outcome is unknown, and a look-up is due
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
--! include now history
--! constants WEBHOOK PAUSE_RETRY_MS FIRST_LEDGER_RETRY_MS LEDGER_RETRY_MS RECOVER
local K = named({
  "key", "call", "queued", "waiting", "running", "agent_meta", "metrics", "history", "breaker", "events", "ledger",
  "dead", "errors", "limits..."
}, KEYS)
local A = named({
  "call", "task", "key", "kwargs", "fingerprint", "origin", "owner", "lease_ms",
  "max_age_ms", "keep_ms", "policy", "alive_owner", "epoch",
  "fence", "closed_reason", "sent_kwargs", "accepts_unregistered", "expires_ms", "mode"
}, ARGV)
local policy = A.policy == "" and {caps = {}, rates = {}} or cjson.decode(A.policy)
local caps = {unpack(K.limits, 1, #policy.caps)}

local key = fields(K.key, "state", "call", "task", "fingerprint", "payload", "attempts", "approved", "revision")
local call = fields(K.call, "state", "task", "key", "kwargs", "fingerprint", "door", "options", "lane", "at_ms", "sent_ms",
  "expires_ms", "booked_ms", "paid_ms", "attempts", "again", "waits")
local lane = "arrived_ms:" .. (call.lane or "")
local pause, arrived_ms, last_fence, mode = unpack(redis.call("HMGET", K.agent_meta, "pause", lane, "fence", "autonomy"))
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
mode = mode or A.mode
local is_approved = key.approved and key.approved == key.revision and not is_reusable
local has_effect = A.epoch ~= "" or A.closed_reason ~= ""

-- The sender of a webhook was told that the call is accepted; a call that was tried before, or that a person wants to run,
-- has no caller that retries either. Every other caller retries by itself.
local caller_does_not_retry = origin == WEBHOOK or tonumber(call.attempts or 0) > 0 or call.again
local function tell(event, told)
  told.at, told.event, told.call = now, event, A.call
  if not call.state then
    told.door = origin -- nothing else records it for a call that was not registered
  end
  append_event(K.key, K.history, told)
end

local function write_call(...)
  redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", kwargs, "fingerprint", fingerprint, "door", origin,
    "at_ms", called_ms, "effect", has_effect and "1" or "0", ...)
end

local function leave_lists()
  redis.call("ZREM", K.queued, A.call)
  if due then
    redis.call("ZREM", K.waiting, A.call)
  end
end

local function claimed(fence, attempt)
  return {"claimed", fence, attempt, now, key.payload or "", origin, caller_does_not_retry and 1 or 0, call.options or "",
    tonumber(call.waits or 0), fingerprint, call.sent_ms or "", mode,
    is_approved and redis.call("HGET", K.key, "proposal") or "", tonumber(key.revision or 0)}
end

-- Each check returns nil if nothing is in the way of the call; an answer, which begins with a word; or an obstacle, of which
-- a receipt is written at the end: {stage, why, told, due: when it will have passed, or nil; defers: the call waits in any case}.

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
    leave_lists()
    return {"ended", now, redis.call("HGET", K.call, "answer")}
  end
end

local function check_ledger()
  if not has_effect then
    return nil
  end
  --! include soundness ledger_pause
  local why, must_compare = A.closed_reason, false
  if why == "" then
    why, must_compare = ledger_fault(K.ledger, A.key, key.payload, A.epoch, tonumber(A.fence))
  end
  if must_compare then
    return {"unchecked", now}
  elseif why then
    local told = {why = why, next = A.closed_reason == "" and RECOVER or nil}
    return {stage = "ledger", why = "effects are closed", due = now + ledger_pause(), defers = true, told = told}
  end
end

local function check_pause()
  if not pause then
    return nil
  end
  --! include pause
  local reason = pause_of(pause, {unpack(K.limits, 1, #policy.caps)})
  if reason then
    local told = {by = reason.by, why = reason.why}
    return {stage = "paused", why = "paused", due = now + PAUSE_RETRY_MS, told = told}
  end
end

local function check_age()
  local age = (now - called_ms) / 1000
  if expires_ms and now > tonumber(expires_ms) then
    return {stage = "age", why = "expired", told = {age = age}}
  elseif now - called_ms > tonumber(A.max_age_ms) then
    return {stage = "age", why = "too old", told = {age = age, max_age = A.max_age_ms / 1000}}
  end
end

-- An agent that only observes sends nothing: what a person approved, or what may have been sent before, waits for its end.
local function check_mode()
  if mode == "observe" and has_effect and (is_approved or key.payload) then
    local told = {why = "the agent only observes"}
    return {stage = "autonomy", why = "observed", due = now + PAUSE_RETRY_MS, defers = true, told = told}
  end
end

-- The last of the checks: what lets the call run is taken at once.
local function check_limits()
  if not K.limits[1] and not policy.breaker then
    return nil
  end
  --! include caps gcra breaker admit_limits
  local obstacle = check_caps() or check_budgets() or check_rates() or check_breaker()
  if not obstacle then
    take_limits()
  end
  return obstacle
end

--! include admit_key admit_claim

local obstacle = check_identity() or check_call() or check_ledger() or check_key() or check_pause() or check_age()
  or check_mode() or check_limits() or claim()
if not obstacle.stage then
  return obstacle
end
--! include admit_receipts
