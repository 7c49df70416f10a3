-- settle: record how an attempt ended, with the agent's facts, counters, errors, caps and breaker, in one step.
-- Settling the same attempt again, because the answer was lost on its way, changes nothing.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> running   KEYS[5] -> head
-- KEYS[6] -> metrics   KEYS[7] -> story     KEYS[8] -> errors    KEYS[9] -> held      KEYS[10] -> facts
-- KEYS[11] -> events   KEYS[12] -> breaker  KEYS[13] -> ledger    KEYS[14] -> dead
-- KEYS[15..] -> the caps in the policy's order, then the collections that the facts name
-- ARGV[1] -> key, as text   ARGV[2] -> call id   ARGV[3] -> owner   ARGV[4] -> fence
-- ARGV[5] -> outcome: "done" | "failed" (proven that no effect happened) | "refused" (likewise, by our own rules)
--            | "unknown"
-- ARGV[6] -> result, JSON, or ""        ARGV[7] -> flaw of a result that is done but not good, JSON, or ""
-- ARGV[8] -> error, JSON, or ""         ARGV[9] -> ms until the next attempt, or "" for none
-- ARGV[10] -> "1" if the effect happened
-- ARGV[11] -> policy, JSON: {keep_ms, done_ms (0: for ever), caps: [{rule, limit, window_ms}],
--             breaker: {after, cooldown_ms} or absent}
-- ARGV[12] -> facts, JSON: [[path, value or null, collection or 0, limit]], collection counted from 1; or ""
-- ARGV[13] -> counters, JSON: {name: increment}
-- ARGV[14] -> summary of the attempt for the event stream, JSON
-- ARGV[15] -> what to answer when a call that ended without a result is asked for again, JSON, or ""
-- ARGV[16] -> boot: this run of the machine   ARGV[17] -> ms since that boot
-- ARGV[18] -> payload that was frozen when this attempt crossed the line, or "" if it did not
-- ARGV[19] -> how to prove an absence, as in cross.lua, or ""
-- ARGV[20] -> "1" if it failed for a reason that passes: the call waits, and this was no attempt of it
-- ARGV[21] -> ms for which the provider wants to be left alone before it is asked what became of an effect
-- ARGV[22..] -> events of this attempt, JSON
--
-- Returns {"settled", now} | {"lost", now, state}
-- include story.lua.inc
-- include forget.lua.inc
-- include waits.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local KEPT_ERRORS, KEPT_EVENTS, KEPT_DEAD = 20, 1000, 1000
local CAPS = 14 -- caps and collections are the keys behind this one

local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence", "settled", "verify", "payload", "started_ms", "frozen_by")
local state, outcome, retry_ms = key[1], ARGV[5], tonumber(ARGV[9])
if key[2] ~= ARGV[3] or key[3] ~= ARGV[4] then
  return {"lost", now, state or "gone"}
end
-- "unknown" is not the end: a look-up may settle it, even one that finds the effect after others made sure that it is absent.
local open_again = state == "held" or state == "waiting" or state == "queued"
local late = key[6] and outcome ~= "unknown" and (state == "unknown" or (open_again and outcome == "done"))
if key[4] == ARGV[4] and not late then
  return {"settled", now}
elseif state ~= "claimed" and state ~= "sending" and state ~= "unknown" and not late then
  return {"lost", now, state}
end
-- All is read before anything is written: a script that fails half-way is not undone.
local policy = cjson.decode(ARGV[11])
local facts = ARGV[12] ~= "" and cjson.decode(ARGV[12]) or {}
local counters = cjson.decode(ARGV[13])
local failure = ARGV[8] ~= "" and cjson.decode(ARGV[8]) or {}
local call = redis.call("HMGET", KEYS[2], "at_ms", "expires_ms", "waits", "waits_since_ms")
local waits = ARGV[20] == "1" and retry_ms ~= nil
local is_effect = policy.done_ms == 0

local function tell(fields)
  fields.at = now
  tell_story(KEYS[7], cjson.encode(fields))
end

-- Whether the text of this attempt was its own. A text that was ever in doubt stays; so does what was kept for it.
local function has_own_text()
  return ARGV[18] ~= "" and (not key[6] or key[8] == ARGV[4])
end

local function settle_key()
  local call_state = outcome
  if outcome == "failed" or outcome == "refused" then
    call_state = retry_ms and "waiting" or "rejected"
    redis.call("HDEL", KEYS[13], "sent:" .. ARGV[1])
    if has_own_text() then
      forget_text(KEYS[1], outcome)
    end
    if retry_ms and (outcome == "refused" or waits) then
      redis.call("HINCRBY", KEYS[2], "attempts", -1) -- our own rules, or its service, held it up: no attempt of the call
    end
    if waits then
      redis.call("HINCRBY", KEYS[1], "attempts", -1)
    end
  elseif key[6] or ARGV[18] ~= "" then
    redis.call("HSET", KEYS[13], "sent:" .. ARGV[1], ARGV[4])
  end
  redis.call("HSET", KEYS[1], "state", call_state, "settled", ARGV[4])
  redis.call("HSET", KEYS[2], "state", call_state)
  redis.call("ZREM", KEYS[4], ARGV[1])
  if late then
    redis.call("HDEL", KEYS[9], ARGV[1])
    redis.call("ZREM", KEYS[3], ARGV[2])
    redis.call("HDEL", KEYS[1], "why", "since_ms", "gone", "absences", "looks")
  end
  return call_state
end

-- Nobody asks again for a call that began, and what it paid for a try that reached nothing it does not pay again.
local function put_off(due)
  redis.call("ZADD", KEYS[3], due, ARGV[2])
  redis.call("HSET", KEYS[2], "again", 1)
  if waits or outcome == "refused" or is_effect then
    redis.call("HSET", KEYS[2], "paid_ms", key[7] or now)
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
  redis.call("HSET", KEYS[2], "waits", tonumber(call[3] or 0) + 1, "waits_since_ms", since, "waits_why", failure.error,
    "answer", ARGV[15])
  tell({event = "waiting", why = failure.error, since = since, ["until"] = due, gives_up = gives_up})
  failure.since, failure["until"] = since, due
end

local function keep(call_state)
  if call_state == "done" then
    redis.call("HDEL", KEYS[2], "answer") -- of a wait that is over
    redis.call("HSET", KEYS[1], "result", ARGV[6], "done_ms", now)
    if ARGV[7] ~= "" then
      redis.call("HSET", KEYS[1], "flaw", ARGV[7])
    end
    if policy.done_ms > 0 then
      redis.call("PEXPIRE", KEYS[1], policy.done_ms)
      redis.call("PEXPIRE", KEYS[7], policy.done_ms)
    end
  elseif call_state == "waiting" then
    if not waits then
      put_off(now + retry_ms)
    end
    return
  elseif call_state == "rejected" then
    redis.call("HSET", KEYS[2], "answer", ARGV[15])
    if outcome == "failed" then
      redis.call("ZADD", KEYS[14], now, ARGV[2])
      redis.call("ZREMRANGEBYRANK", KEYS[14], 0, -KEPT_DEAD - 1)
    end
    redis.call("PEXPIRE", KEYS[1], policy.keep_ms)
    redis.call("PEXPIRE", KEYS[7], policy.keep_ms)
  else
    -- Its owner says so itself, so it sends nothing any more: the drain begins now.
    redis.call("HSET", KEYS[1], "why", failure.error, "since_ms", now, "gone", ARGV[4],
      "gone:" .. ARGV[16] .. ":" .. ARGV[4], ARGV[17])
    local verify = key[5] or (ARGV[18] ~= "" and ARGV[19] ~= "" and ARGV[19])
    if verify then
      redis.call("ZADD", KEYS[3], now + math.max(cjson.decode(verify).every_ms, tonumber(ARGV[21])), ARGV[2])
    end
    redis.call("HSET", KEYS[9], ARGV[1], cjson.encode({key = ARGV[1], state = "unknown", since = now, why = failure.error}))
    return
  end
  redis.call("PEXPIRE", KEYS[2], policy.keep_ms)
end

local function settle_caps()
  for i, cap in ipairs(policy.caps) do
    local name = KEYS[CAPS + i]
    if outcome == "unknown" or ARGV[10] == "1" then
      redis.call("ZADD", name, now, ARGV[1])
      redis.call("PEXPIRE", name, 2 * cap.window_ms)
    else
      redis.call("ZREM", name, ARGV[1])
    end
    local count = redis.call("ZCOUNT", name, now - cap.window_ms, now)
    if ARGV[10] == "1" and count >= cap.limit and redis.call("HEXISTS", KEYS[5], "pause") == 0 then
      local why = "cap " .. cap.rule .. " reached with " .. ARGV[1]
      redis.call("HSET", KEYS[5], "pause", cjson.encode({at = now, by = "cap", why = why, cap = name}))
      tell({event = "paused", by = "cap", why = why, count = count})
    end
  end
end

local function settle_breaker()
  if not policy.breaker then
    return
  end
  local kept = redis.call("HMGET", KEYS[12], "open_until_ms", "probe", "failures")
  local probing = kept[1] and kept[2] == ARGV[1]
  if outcome == "done" then
    if probing or not kept[1] then
      redis.call("DEL", KEYS[12])
    end
    if probing then
      tell({event = "breaker closed"})
    end
    return
  elseif outcome == "refused" then
    if probing then
      redis.call("HDEL", KEYS[12], "probe", "probe_until_ms")
    end
    return
  elseif kept[1] and not probing then
    return
  end
  local failures = redis.call("HINCRBY", KEYS[12], "failures", 1)
  if probing or failures >= policy.breaker.after then
    redis.call("HSET", KEYS[12], "open_until_ms", now + policy.breaker.cooldown_ms)
    redis.call("HDEL", KEYS[12], "probe", "probe_until_ms")
    tell({event = "breaker opened", failures = failures, cooldown = policy.breaker.cooldown_ms / 1000})
  end
end

local function write_facts()
  for _, fact in ipairs(facts) do
    local path, value, collection, limit = fact[1], fact[2], fact[3], fact[4]
    local name = KEYS[CAPS + #policy.caps + collection]
    local forgotten = value == cjson.null
    if forgotten then
      redis.call("HDEL", KEYS[10], path)
    else
      redis.call("HSET", KEYS[10], path, value)
    end
    if collection > 0 and forgotten then
      redis.call("ZREM", name, path)
    elseif collection > 0 then
      redis.call("ZADD", name, now, path)
      local excess = redis.call("ZCARD", name) - limit
      for _ = 1, excess do
        redis.call("HDEL", KEYS[10], redis.call("ZPOPMIN", name)[1])
      end
    end
  end
end

local function count_and_tell(call_state)
  for name, increment in pairs(counters) do
    if state ~= "unknown" or name ~= "total_failed" then -- counted when it was reclaimed
      redis.call("HINCRBY", KEYS[6], name, increment)
    end
  end
  if ARGV[8] ~= "" then
    redis.call("LPUSH", KEYS[8], waits and cjson.encode(failure) or ARGV[8])
    redis.call("LTRIM", KEYS[8], 0, KEPT_ERRORS - 1)
  end
  redis.call("XADD", KEYS[11], "MAXLEN", "~", KEPT_EVENTS, "*", "attempt", ARGV[14])
  redis.call("HSET", KEYS[5], "updated_ms", now, "last_run_ms", now)
  redis.call("HINCRBY", KEYS[5], "revision", 1)
end

if ARGV[18] ~= "" then -- Redis may have fallen back to before the line meanwhile
  redis.call("HSETNX", KEYS[1], "payload", ARGV[18])
  if ARGV[19] ~= "" then
    redis.call("HSETNX", KEYS[1], "verify", ARGV[19])
  end
end
if ARGV[22] then
  tell_story(KEYS[7], unpack(ARGV, 22))
end
local call_state = settle_key()
settle_caps()
settle_breaker()
write_facts()
redis.call("HDEL", KEYS[2], "paid_ms")
if call[3] then
  redis.call("HDEL", KEYS[2], "waits", "waits_since_ms", "waits_why")
  forget_wait(KEYS[8], ARGV[2])
end
if waits then
  wait_for_service()
end
count_and_tell(call_state)
keep(call_state)
return {"settled", now}
