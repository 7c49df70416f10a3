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
--! include now history agent
local K = named({
  "key", "call", "waiting", "running", "agent_meta", "metrics", "history", "errors", "held", "facts", "events",
  "breaker", "ledger", "dead", "caps_and_collections..."
}, KEYS)
local A = named({
  "key", "call", "owner", "fence", "outcome", "result", "flaw", "error", "retry_ms", "effect_happened", "policy",
  "facts", "counters", "summary", "answer", "boot", "boot_ms", "payload", "verify", "waits", "look_ms", "events..."
}, ARGV)

local key = fields(K.key, "state", "owner", "fence", "settled", "verify", "payload", "started_ms", "frozen_by", "task")
local state, outcome, retry_ms = key.state, A.outcome, tonumber(A.retry_ms)
if key.owner ~= A.owner or key.fence ~= A.fence then
  return {"lost", now, state or "gone"}
end
-- "unknown" is not final: this attempt may settle it, even one that finds the effect after look-ups found it absent.
local is_free_again = state == "held" or state == "waiting" or state == "queued"
local is_late = key.payload and outcome ~= "unknown" and (state == "unknown" or (is_free_again and outcome == "done"))
if key.settled == A.fence and not is_late then
  return {"settled", now}
elseif state ~= "claimed" and state ~= "sending" and state ~= "unknown" and not is_late then
  return {"lost", now, state}
end
-- All is read before anything is written: a script that fails half-way is not undone.
local policy, counters = cjson.decode(A.policy), cjson.decode(A.counters)
local facts = A.facts ~= "" and cjson.decode(A.facts)
local failure = A.error ~= "" and cjson.decode(A.error) or {}
local call = fields(K.call, "at_ms", "expires_ms", "waits", "waits_since_ms", "paid_ms", "answer")
local waits = A.waits == "1" and retry_ms ~= nil
local is_effect = policy.done_ms == 0

local function tell(event, told)
  told.at, told.event = now, event
  append_event(K.history, told)
end

-- Return what becomes of a key whose effect did not happen. A payload that was ever in doubt stays; so do its checkpoints.
local function settle_not_applied()
  --! include payload
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
  if A.payload ~= "" and (not key.payload or key.frozen_by == A.fence) then
    forget_payload(K.key, outcome)
  end
  if retry_ms and (outcome == "refused" or waits) then
    redis.call("HINCRBY", K.call, "attempts", -1) -- our own rules or its service stopped it: not an attempt of the call
  end
  if waits then
    redis.call("HINCRBY", K.key, "attempts", -1)
  end
  return retry_ms and "waiting" or "rejected"
end

-- Return what the key keeps of this end besides its state, name and value in turn.
local function end_of(to)
  local kept = {}
  if to == "done" then
    kept = {"result", A.result, "done_ms", now}
    if A.flaw ~= "" then
      kept[5], kept[6] = "flaw", A.flaw
    end
  elseif to == "unknown" then
    -- The owner itself reports the doubt, so it sends nothing any more: the drain begins now.
    kept = {"why", failure.error, "since_ms", now, "gone", A.fence, "gone:" .. A.boot .. ":" .. A.fence, A.boot_ms}
  end
  return kept
end

local function settle_key()
  local to = outcome
  if outcome == "failed" or outcome == "refused" then
    to = settle_not_applied()
  elseif key.payload or A.payload ~= "" then
    redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
  end
  redis.call("HSET", K.key, "state", to, "settled", A.fence, unpack(end_of(to)))
  redis.call("HSET", K.call, "state", to)
  redis.call("ZREM", K.running, A.key)
  if is_late then
    redis.call("HDEL", K.held, A.key)
    redis.call("ZREM", K.waiting, A.call)
    redis.call("HDEL", K.key, "why", "since_ms", "gone", "absences", "looks")
  end
  return to
end

local function count_and_report()
  for name, increment in pairs(counters) do
    if state ~= "unknown" or name ~= "total_failed" then -- counted when it was reclaimed
      redis.call("HINCRBY", K.metrics, name, increment)
    end
  end
  if A.error ~= "" then
    --! include errors
    list_error(K.errors, waits and cjson.encode(failure) or A.error)
  end
  stream_event(K.events, "attempt", A.summary)
  count_change(K.agent_meta, "last_run_ms", now)
end

local function keep_doubt()
  --! include hold
  local verify = key.verify or (A.payload ~= "" and A.verify ~= "" and A.verify)
  if verify then
    redis.call("ZADD", K.waiting, now + math.max(cjson.decode(verify).every_ms, tonumber(A.look_ms)), A.call)
  end
  list_held(K.held, A.key, "unknown", now, failure.error)
end

local function expire_key(after_ms)
  redis.call("PEXPIRE", K.key, after_ms)
  redis.call("PEXPIRE", K.history, after_ms)
end

-- The answer of a call that is done is its result; one that waited has the answer of its wait.
local function end_call(to)
  if to == "rejected" then
    redis.call("HSET", K.call, "answer", A.answer)
    expire_key(policy.keep_ms)
  elseif call.answer then
    redis.call("HDEL", K.call, "answer")
  end
  if to == "rejected" and outcome == "failed" then
    --! include errors
    list_dead(K.dead, A.call, now)
  elseif to == "done" and not is_effect then
    expire_key(policy.done_ms)
  end
  redis.call("PEXPIRE", K.call, policy.keep_ms)
end

if A.payload ~= "" then -- Redis may have fallen back to before the effect meanwhile
  redis.call("HSETNX", K.key, "payload", A.payload)
  if A.verify ~= "" then
    redis.call("HSETNX", K.key, "verify", A.verify)
  end
end
if A.events[1] then
  append_events(K.history, unpack(A.events))
end
local to = settle_key()
if policy.caps[1] or policy.breaker then
  --! include caps breaker pause settle_limits
end
if facts then
  --! include settle_facts
end
if call.paid_ms then
  redis.call("HDEL", K.call, "paid_ms")
end
if call.waits then
  --! include errors
  redis.call("HDEL", K.call, "waits", "waits_since_ms", "waits_why")
  forget_wait(K.errors, A.call)
end
if to == "waiting" then
  --! include settle_retry
end
count_and_report()
if to == "unknown" then
  keep_doubt()
elseif to ~= "waiting" then
  end_call(to)
end
return {"settled", now}
