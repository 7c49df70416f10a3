-- settle: record how an attempt ended, with the agent's facts, counters, errors, caps and breaker, in one step.
-- Settling the same attempt again, because the answer was lost, changes nothing.
--
-- Keys:
--   breaker: the breaker of this task and these arguments
--   caps_and_collections: the caps in the order of the policy, then the collections that the facts name
-- Arguments:
--   key, call, owner, fence: of the claim
--   outcome: "done" | "failed" (proven that no effect happened) | "refused" (likewise, by our own rules) | "unknown"
--   result: JSON, or ""
--   flaw: of a result that is done but not good, JSON, or ""
--   error: JSON, or ""
--   retry_ms: ms until the next attempt, or "" for none
--   effect_happened: "1" if the effect happened
--   policy: JSON {keep_ms, max_age_ms, done_ms (0: for ever), caps: [{rule, limit, window_ms}],
--     breaker: {after, cooldown_ms} or absent}
--   facts: JSON [[path, value or null, collection or 0, limit]], collections counted from 1; or ""
--   counters: JSON {name: increment}
--   summary: of the attempt for the event stream, JSON
--   answer: to a call that ended without a result and is asked for again, JSON, or ""
--   boot: this boot of the machine; boot_ms: ms since that boot
--   payload: as it was frozen when this attempt began the effect, or "" if it did not
--   verify: how to prove an absence, as in begin_effect.lua, or ""
--   waits: "1" if it failed for a temporary reason: the call waits, and this does not count as an attempt
--   look_ms: ms for which the provider asked not to be queried, before the first look-up
--   events: of this attempt, JSON each
-- Returns:
--   {"settled", now}
--   {"lost", now, state}
--! include prelude now history forget waits
local K = named({
  "key", "call", "waiting", "running", "agent_meta", "metrics", "history", "errors", "held", "facts", "events",
  "breaker", "ledger", "dead", "caps_and_collections..."
}, KEYS)
local A = named({
  "key", "call", "owner", "fence", "outcome", "result", "flaw", "error", "retry_ms", "effect_happened", "policy",
  "facts", "counters", "summary", "answer", "boot", "boot_ms", "payload", "verify", "waits", "look_ms", "events..."
}, ARGV)
local KEPT_ERRORS, KEPT_EVENTS, KEPT_DEAD = 20, 1000, 1000

local key = redis.call("HMGET", K.key, "state", "owner", "fence", "settled", "verify", "payload", "started_ms", "frozen_by")
local state, outcome, retry_ms = key[1], A.outcome, tonumber(A.retry_ms)
if key[2] ~= A.owner or key[3] ~= A.fence then
  return {"lost", now, state or "gone"}
end
-- "unknown" is not the end: a look-up may settle it, even one that finds the effect after others made sure that it is absent.
local open_again = state == "held" or state == "waiting" or state == "queued"
local late = key[6] and outcome ~= "unknown" and (state == "unknown" or (open_again and outcome == "done"))
if key[4] == A.fence and not late then
  return {"settled", now}
elseif state ~= "claimed" and state ~= "sending" and state ~= "unknown" and not late then
  return {"lost", now, state}
end
-- All is read before anything is written: a script that fails half-way is not undone.
local policy = cjson.decode(A.policy)
local facts = A.facts ~= "" and cjson.decode(A.facts) or {}
local counters = cjson.decode(A.counters)
local failure = A.error ~= "" and cjson.decode(A.error) or {}
local call = redis.call("HMGET", K.call, "at_ms", "expires_ms", "waits", "waits_since_ms")
local waits = A.waits == "1" and retry_ms ~= nil
local is_effect = policy.done_ms == 0

local function tell(fields)
  fields.at = now
  append_event(K.history, cjson.encode(fields))
end

-- Whether the text of this attempt was its own. A text that was ever in doubt stays; so does what was kept for it.
local function has_own_text()
  return A.payload ~= "" and (not key[6] or key[8] == A.fence)
end

local function settle_key()
  local call_state = outcome
  if outcome == "failed" or outcome == "refused" then
    call_state = retry_ms and "waiting" or "rejected"
    redis.call("HDEL", K.ledger, "sent:" .. A.key)
    if has_own_text() then
      forget_text(K.key, outcome)
    end
    if retry_ms and (outcome == "refused" or waits) then
      redis.call("HINCRBY", K.call, "attempts", -1) -- our own rules, or its service, held it up: no attempt of the call
    end
    if waits then
      redis.call("HINCRBY", K.key, "attempts", -1)
    end
  elseif key[6] or A.payload ~= "" then
    redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
  end
  redis.call("HSET", K.key, "state", call_state, "settled", A.fence)
  redis.call("HSET", K.call, "state", call_state)
  redis.call("ZREM", K.running, A.key)
  if late then
    redis.call("HDEL", K.held, A.key)
    redis.call("ZREM", K.waiting, A.call)
    redis.call("HDEL", K.key, "why", "since_ms", "gone", "absences", "looks")
  end
  return call_state
end

-- Nobody asks again for a call that began, and what it paid for a try that reached nothing it does not pay again.
local function put_off(due)
  redis.call("ZADD", K.waiting, due, A.call)
  redis.call("HSET", K.call, "again", 1)
  if waits or outcome == "refused" or is_effect then
    redis.call("HSET", K.call, "paid_ms", key[7] or now)
  end
end

-- Until when, and since when, a call waits for its service; at the end of its time it is looked at once more, and refused.
local function wait_for_service()
  local gives_up = tonumber(call[1] or now) + policy.max_age_ms
  if call[2] then
    gives_up = math.min(gives_up, tonumber(call[2]))
  end
  local since, due = tonumber(call[4] or now), math.max(now, math.min(now + retry_ms, gives_up))
  put_off(due)
  redis.call("HSET", K.call, "waits", tonumber(call[3] or 0) + 1, "waits_since_ms", since, "waits_why", failure.error,
    "answer", A.answer)
  tell({event = "waiting", why = failure.error, since = since, ["until"] = due, gives_up = gives_up})
  failure.since, failure["until"] = since, due
end

local function keep(call_state)
  if call_state == "done" then
    redis.call("HDEL", K.call, "answer") -- of a wait that is over
    redis.call("HSET", K.key, "result", A.result, "done_ms", now)
    if A.flaw ~= "" then
      redis.call("HSET", K.key, "flaw", A.flaw)
    end
    if policy.done_ms > 0 then
      redis.call("PEXPIRE", K.key, policy.done_ms)
      redis.call("PEXPIRE", K.history, policy.done_ms)
    end
  elseif call_state == "waiting" then
    if not waits then
      put_off(now + retry_ms)
    end
    return
  elseif call_state == "rejected" then
    redis.call("HSET", K.call, "answer", A.answer)
    if outcome == "failed" then
      redis.call("ZADD", K.dead, now, A.call)
      redis.call("ZREMRANGEBYRANK", K.dead, 0, -KEPT_DEAD - 1)
    end
    redis.call("PEXPIRE", K.key, policy.keep_ms)
    redis.call("PEXPIRE", K.history, policy.keep_ms)
  else
    -- Its owner says so itself, so it sends nothing any more: the drain begins now.
    redis.call("HSET", K.key, "why", failure.error, "since_ms", now, "gone", A.fence,
      "gone:" .. A.boot .. ":" .. A.fence, A.boot_ms)
    local verify = key[5] or (A.payload ~= "" and A.verify ~= "" and A.verify)
    if verify then
      redis.call("ZADD", K.waiting, now + math.max(cjson.decode(verify).every_ms, tonumber(A.look_ms)), A.call)
    end
    redis.call("HSET", K.held, A.key, cjson.encode({key = A.key, state = "unknown", since = now, why = failure.error}))
    return
  end
  redis.call("PEXPIRE", K.call, policy.keep_ms)
end

local function settle_caps()
  for i, cap in ipairs(policy.caps) do
    local name = K.caps_and_collections[i]
    if outcome == "unknown" or A.effect_happened == "1" then
      redis.call("ZADD", name, now, A.key)
      redis.call("PEXPIRE", name, 2 * cap.window_ms)
    else
      redis.call("ZREM", name, A.key)
    end
    local count = redis.call("ZCOUNT", name, now - cap.window_ms, now)
    if A.effect_happened == "1" and count >= cap.limit and redis.call("HEXISTS", K.agent_meta, "pause") == 0 then
      local why = "cap " .. cap.rule .. " reached with " .. A.key
      redis.call("HSET", K.agent_meta, "pause", cjson.encode({at = now, by = "cap", why = why, cap = name}))
      tell({event = "paused", by = "cap", why = why, count = count})
    end
  end
end

local function settle_breaker()
  if not policy.breaker then
    return
  end
  local kept = redis.call("HMGET", K.breaker, "open_until_ms", "probe", "failures")
  local probing = kept[1] and kept[2] == A.key
  if outcome == "done" then
    if probing or not kept[1] then
      redis.call("DEL", K.breaker)
    end
    if probing then
      tell({event = "breaker closed"})
    end
    return
  elseif outcome == "refused" then
    if probing then
      redis.call("HDEL", K.breaker, "probe", "probe_until_ms")
    end
    return
  elseif kept[1] and not probing then
    return
  end
  local failures = redis.call("HINCRBY", K.breaker, "failures", 1)
  if probing or failures >= policy.breaker.after then
    redis.call("HSET", K.breaker, "open_until_ms", now + policy.breaker.cooldown_ms)
    redis.call("HDEL", K.breaker, "probe", "probe_until_ms")
    tell({event = "breaker opened", failures = failures, cooldown = policy.breaker.cooldown_ms / 1000})
  end
end

local function write_facts()
  for _, fact in ipairs(facts) do
    local path, value, collection, limit = fact[1], fact[2], fact[3], fact[4]
    local name = K.caps_and_collections[#policy.caps + collection]
    local forgotten = value == cjson.null
    if forgotten then
      redis.call("HDEL", K.facts, path)
    else
      redis.call("HSET", K.facts, path, value)
    end
    if collection > 0 and forgotten then
      redis.call("ZREM", name, path)
    elseif collection > 0 then
      redis.call("ZADD", name, now, path)
      local excess = redis.call("ZCARD", name) - limit
      for _ = 1, excess do
        redis.call("HDEL", K.facts, redis.call("ZPOPMIN", name)[1])
      end
    end
  end
end

local function count_and_tell(call_state)
  for name, increment in pairs(counters) do
    if state ~= "unknown" or name ~= "total_failed" then -- counted when it was reclaimed
      redis.call("HINCRBY", K.metrics, name, increment)
    end
  end
  if A.error ~= "" then
    redis.call("LPUSH", K.errors, waits and cjson.encode(failure) or A.error)
    redis.call("LTRIM", K.errors, 0, KEPT_ERRORS - 1)
  end
  redis.call("XADD", K.events, "MAXLEN", "~", KEPT_EVENTS, "*", "attempt", A.summary)
  redis.call("HSET", K.agent_meta, "updated_ms", now, "last_run_ms", now)
  redis.call("HINCRBY", K.agent_meta, "revision", 1)
end

if A.payload ~= "" then -- Redis may have fallen back to before the line meanwhile
  redis.call("HSETNX", K.key, "payload", A.payload)
  if A.verify ~= "" then
    redis.call("HSETNX", K.key, "verify", A.verify)
  end
end
if A.events[1] then
  append_event(K.history, unpack(A.events))
end
local call_state = settle_key()
settle_caps()
settle_breaker()
write_facts()
redis.call("HDEL", K.call, "paid_ms")
if call[3] then
  redis.call("HDEL", K.call, "waits", "waits_since_ms", "waits_why")
  forget_wait(K.errors, A.call)
end
if waits then
  wait_for_service()
end
count_and_tell(call_state)
keep(call_state)
return {"settled", now}
