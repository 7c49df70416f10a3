-- settle: record how an attempt ended, with the agent's facts, counters, errors, caps and breaker, in one step.
-- Settling the same attempt again, because the answer was lost, changes nothing.
--
-- Keys:
--   breaker: the breaker of this task and these arguments
--   caps_and_collections: the caps in the order of the policy, then the collections that the facts name; of an attempt
--     that asked, the rates instead
-- Arguments:
--   key, call, owner, fence: of the claim
--   outcome: "done" | "failed" (proven that no effect happened) | "refused" (likewise, by our own rules) | "unknown"
--     | "asked" (nothing was sent: the key waits for a person's approval of the proposal)
--   result: JSON, or ""
--   flaw: of a result that is done but not good, JSON, or ""
--   error: JSON, or ""
--   retry_ms: ms until the next attempt, or "" for none
--   effect_happened: "1" if the effect happened
--   keep_ms, done_ms: how long a call that ended, and a key that is done, are kept (0: for ever)
--   max_age_ms: age at which the call is refused
--   policy: "" for a task without limits, else JSON {caps: [{rule, limit, window_ms}], rates: [{rule, every_ms}],
--     breaker: {after, cooldown_ms} or absent}
--   facts: JSON [[path, value or null, collection or 0, limit]], collections counted from 1; or ""
--   counters: JSON {name: increment}
--   measure: the counter of /metrics that it adds to, or ""; requests: those of its requests, JSON {name: number}, or ""
--   summary: of the attempt for the event stream, JSON
--   answer: to a call that ended without a result and is asked for again, JSON, or ""
--   boot: this boot of the machine; boot_ms: ms since that boot
--   payload: as it was frozen when this attempt began the effect, or "" if it did not
--   verify: how to prove an absence, as in begin_effect.lua, or ""
--   waits: "1" if it failed for a temporary reason: the call waits, and this does not count as an attempt
--   look_ms: ms for which the provider asked not to be queried, before the first look-up
--   proposal: the payload that waits for an approval, JSON, or ""; expires_ms: when the request for it ends
--   proposal_type: by which an edited payload is validated; also of the payload of an effect
--   brief: what the key keeps instead of these events if nothing else is told of it: ms since the claim until the effect was
--     applied, if it has one, and until the end; or ""
--   events: of this attempt, JSON each
-- Returns:
--   {"settled", now}
--   {"lost", now, state}
--! include now history agent
local K = named({
  "key", "call", "waiting", "running", "agent_meta", "metrics", "history", "errors", "held", "waits", "asks", "expiring",
  "facts", "events", "breaker", "breakers", "ledger", "dead", "measures", "caps_and_collections..."
}, KEYS)
local A = named({
  "key", "call", "owner", "fence", "outcome", "result", "flaw", "error", "retry_ms", "effect_happened",
  "keep_ms", "done_ms", "max_age_ms", "policy",
  "facts", "counters", "measure", "requests", "summary", "answer", "boot", "boot_ms", "payload", "verify", "waits", "look_ms",
  "proposal", "proposal_type", "expires_ms", "brief", "events..."
}, ARGV)

local key = fields(K.key, "state", "owner", "fence", "settled", "payload", "task", "took")
local state, outcome, retry_ms = key.state, A.outcome, tonumber(A.retry_ms)
if key.owner ~= A.owner or key.fence ~= A.fence then
  return {"lost", now, state or "gone"}
end
-- "unknown" is not final: this attempt may settle it, even one that finds the effect after look-ups found it absent.
local is_free_again = state == "held" or state == "waiting" or state == "queued"
local is_late = key.payload and outcome ~= "unknown" and (state == "unknown" or (is_free_again and outcome == "done"))
if (key.settled == A.fence or key.took) and not is_late then
  return {"settled", now}
elseif state ~= "claimed" and state ~= "sending" and state ~= "unknown" and not is_late then
  return {"lost", now, state}
end
-- All is read before anything is written: a script that fails half-way is not undone.
local policy = A.policy == "" and {caps = {}, rates = {}} or cjson.decode(A.policy)
local counters = cjson.decode(A.counters)
local facts, requests = A.facts ~= "" and cjson.decode(A.facts), A.requests ~= "" and cjson.decode(A.requests)
local failure = A.error ~= "" and cjson.decode(A.error) or {}
local call = fields(K.call, "waits", "paid_ms")
local waited_since_ms = call.waits and redis.call("HGET", K.call, "waits_since_ms")
local waits = A.waits == "1" and retry_ms ~= nil
local is_effect = A.done_ms == "0"
local is_brief = A.brief ~= "" and redis.call("EXISTS", K.history) == 0

local function tell(event, told)
  told.at, told.event = now, event
  append_event(K.key, K.history, told)
end

-- Return what the key keeps of this end besides its state, name and value in turn.
local function end_of(to)
  local kept = {"settled", A.fence}
  if to == "done" then
    kept = is_brief and {"took", A.brief, "result", A.result} or {"settled", A.fence, "result", A.result, "done_ms", now}
    if A.flaw ~= "" then
      kept[#kept + 1], kept[#kept + 2] = "flaw", A.flaw
    end
  elseif to == "unknown" then
    -- The owner itself reports the doubt, so it sends nothing any more: the drain begins now.
    kept = {"settled", A.fence, "why", failure.error, "since_ms", now, "gone", A.fence, "gone:" .. A.boot .. ":" .. A.fence, A.boot_ms}
  end
  return kept
end

local function settle_key()
  local to = outcome
  if outcome == "failed" or outcome == "refused" then
    --! include settle_not_applied
    to = settle_not_applied()
  elseif outcome == "asked" then
    to = "held"
  elseif key.payload or A.payload ~= "" then
    redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
  end
  redis.call("HSET", K.key, "state", to, unpack(end_of(to)))
  redis.call("HSET", K.call, "state", to)
  redis.call("ZREM", K.running, A.key)
  if is_late then
    redis.call("HDEL", K.held, A.key)
    redis.call("ZREM", K.waits, A.key)
    redis.call("ZREM", K.waiting, A.call)
    redis.call("HDEL", K.key, "why", "since_ms", "gone", "absences", "looks")
  end
  return to
end

local function keep_doubt()
  --! include hold
  local verify = redis.call("HGET", K.key, "verify") or (A.payload ~= "" and A.verify ~= "" and A.verify)
  if verify then
    redis.call("ZADD", K.waiting, now + math.max(cjson.decode(verify).every_ms, tonumber(A.look_ms)), A.call)
  end
  list_held(K.held, K.waits, A.key, "unknown", now, failure.error)
end

local function expire_key(after_ms)
  redis.call("PEXPIRE", K.key, after_ms)
  if not is_brief then
    redis.call("PEXPIRE", K.history, after_ms)
  end
end

-- What only an open call needs is not kept of one that is done, nor what the name of its key says.
local function forget_attempt()
  if is_brief and key.task and A.key == key.task .. ":" .. A.call then
    redis.call("HDEL", K.key, "lease_ms", "epoch", "spent", "task", "call", "fingerprint")
  else
    redis.call("HDEL", K.key, "lease_ms", "epoch", "spent", "verify", "frozen_by")
  end
  redis.call("HDEL", K.call, "sent_ms", "effect", "answer")
end

-- The answer of a call that is done is its result; one that waited has the answer of its wait.
local function end_call(to)
  if to == "rejected" then
    redis.call("HSET", K.call, "answer", A.answer)
    expire_key(A.keep_ms)
  else
    forget_attempt()
  end
  if to == "rejected" and outcome == "failed" then
    --! include errors
    list_dead(K.dead, A.call, now)
  elseif to == "done" and not is_effect then
    expire_key(A.done_ms)
  end
  redis.call("PEXPIRE", K.call, A.keep_ms)
end

--! include settle_report

if A.payload ~= "" then -- Redis may have fallen back to before the effect meanwhile
  redis.call("HSETNX", K.key, "payload", A.payload)
  if A.verify ~= "" then
    redis.call("HSETNX", K.key, "verify", A.verify)
  end
end
if A.events[1] and not is_brief then
  append_events(K.key, K.history, unpack(A.events))
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
elseif to == "held" then
  --! include settle_ask
  ask()
elseif to ~= "waiting" then
  end_call(to)
end
return {"settled", now}
