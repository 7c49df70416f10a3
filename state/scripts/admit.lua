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
--! include prelude now history waits
local K = named({
  "key", "call", "queued", "waiting", "running", "agent_meta", "metrics", "history", "breaker", "events", "ledger",
  "dead", "errors", "limits..."
}, KEYS)
local A = named({
  "call", "task", "key", "kwargs", "fingerprint", "origin", "owner", "lease_ms", "policy", "alive_owner", "epoch",
  "fence", "closed_reason", "sent_kwargs", "accepts_unregistered", "expires_ms"
}, ARGV)
local policy = cjson.decode(A.policy)
local KEPT_EVENTS, PAUSED_MS, CLOSED_MS, KEPT_ERRORS, KEPT_DEAD = 1000, 60000, 15000, 20, 1000
local caps, rates = {unpack(K.limits, 1, #policy.caps)}, {unpack(K.limits, #policy.caps + 1)}

local key = redis.call("HMGET", K.key, "state", "call", "fingerprint", "owner", "fence", "lease_ms", "started_ms", "task",
  "payload", "verify")
local state, holder, fingerprint, owner = key[1] or "new", key[2], key[3], key[4]
local call = redis.call("HMGET", K.call, "state", "at_ms", "answer", "booked_ms", "expires_ms", "door", "sent_ms",
  "attempts", "again", "key", "options", "lane", "waits", "waits_since_ms", "paid_ms", "waits_why")
local registered = redis.call("HMGET", K.call, "task", "kwargs", "fingerprint")
local door = call[6] or A.origin -- a registered call came in before its message did
local is_registered = registered[3] and registered[3] ~= "" -- it has none if its key was carried over without its call
local kwargs = is_registered and registered[2] or A.kwargs -- what was registered counts
local own_print = is_registered and registered[3] or A.fingerprint
local expires = call[5] or (not call[1] and A.expires_ms ~= "" and A.expires_ms)
local called_at = tonumber(call[2] or now)
local free = state == "new" or state == "queued" or state == "waiting" or state == "rejected"
local mine = holder == A.call or state == "new" or state == "rejected"

-- Who called through a webhook was told that the call is accepted; a call that was tried before, or that a person wants
-- run, has nobody who calls again either. Everybody else asks again.
local nobody_asks_again = door == "webhook" or tonumber(call[8] or 0) > 0 or call[9]

local effect = (A.epoch ~= "" or A.closed_reason ~= "") and "1" or "0"

local function tell(event, fields)
  fields.at, fields.event, fields.call = now, event, A.call
  if not call[1] then
    fields.door = door -- of a call that was not registered nothing else tells it
  end
  append_event(K.history, cjson.encode(fields))
end

local function note(to, receipt)
  redis.call("HSET", K.call, "state", to, "answer", receipt, "task", A.task, "key", A.key, "kwargs", kwargs,
    "fingerprint", own_print, "door", door, "at_ms", called_at)
  redis.call("HSET", K.call, "effect", effect)
  redis.call("ZREM", K.queued, A.call)
  if free and mine then
    redis.call("HSET", K.key, "state", to, "task", A.task, "call", A.call, "fingerprint", own_print)
    redis.call("PERSIST", K.key)
    redis.call("PERSIST", K.history)
  end
  redis.call("HINCRBY", K.agent_meta, "revision", 1)
  redis.call("HSET", K.agent_meta, "updated_ms", now)
end

local function refuse(stage, why, fields)
  fields.error, fields.stage = why, stage
  local receipt = cjson.encode(fields)
  note("rejected", receipt)
  redis.call("ZREM", K.waiting, A.call)
  redis.call("PEXPIRE", K.call, policy.keep_ms)
  if free and mine then
    redis.call("PEXPIRE", K.key, policy.keep_ms)
    redis.call("PEXPIRE", K.history, policy.keep_ms)
    for i in ipairs(policy.caps) do
      redis.call("ZREM", caps[i], A.key) -- the place of an attempt whose worker died before the line
    end
  end
  redis.call("HINCRBY", K.metrics, "total_refused", 1)
  redis.call("HINCRBY", K.metrics, "refused_" .. stage, 1)
  local told = cjson.encode({task = A.task, key = A.key, stage = stage, error = why})
  redis.call("XADD", K.events, "MAXLEN", "~", KEPT_EVENTS, "*", "refusal", told)
  tell("refused", fields)
  return {"refused", now, receipt}
end

-- A long pause asks the same question again and again: only the first answer is counted and told.
local function is_known(stage)
  return stage ~= "rate" and call[3] and call[3] ~= "" and cjson.decode(call[3]).stage == stage
end

-- Whose attempt has begun is no longer the register's: such a call only asks again later.
local function defer(stage, why, due, fields)
  fields.error, fields.stage, fields.retry_after, fields.deferred = why, stage, (due - now) / 1000, true
  local receipt = cjson.encode(fields)
  redis.call("ZADD", K.waiting, due, A.call)
  if not free and holder == A.call then
    redis.call("ZREM", K.queued, A.call)
    return {"deferred", now, receipt}
  end
  note("waiting", receipt)
  if not is_known(stage) then
    redis.call("HINCRBY", K.metrics, "total_deferred", 1)
    tell("deferred", fields)
  end
  return {"deferred", now, receipt}
end

-- Redis must know every effect that the journal knows of; otherwise what was sent would be sent again. A server that was
-- started anew may have fallen back, so it is compared with the journal before it is believed.
local function what_was_lost()
  local ledger = redis.call("HMGET", K.ledger, "epoch", "fence", "closed", "run", "sent:" .. A.key)
  local epoch, fence, floor = ledger[1], tonumber(ledger[2] or 0), tonumber(A.fence)
  if A.closed_reason ~= "" then
    return A.closed_reason
  elseif ledger[3] then
    return ledger[3]
  elseif not epoch and floor > 0 then
    return "Redis lost its data"
  elseif epoch and epoch ~= A.epoch then
    return nil, "unchecked" -- the caller may have read the journal while somebody else began another epoch
  elseif fence < floor then
    return "Redis fell back to fence " .. fence .. ", the journal knows " .. floor
  elseif ledger[5] and not key[9] then
    local why = "Redis forgot the key " .. A.key
    redis.call("HSET", K.ledger, "closed", why)
    return why
  elseif not epoch or ledger[4] ~= string.match(redis.call("INFO", "server"), "run_id:(%x+)") then
    return nil, "unchecked"
  end
end

local function check_ledger()
  if A.epoch == "" and A.closed_reason == "" then
    return nil
  end
  local why, unchecked = what_was_lost()
  if unchecked then
    return {"unchecked", now}
  elseif why then
    local next = A.closed_reason == "" and "celery -A workers gate recover" or nil
    return defer("ledger", "effects are closed", now + CLOSED_MS, {why = why, next = next})
  end
end

local function check_call()
  if call[1] == "rejected" or call[1] == "cancelled" then
    redis.call("ZREM", K.queued, A.call)
    redis.call("ZREM", K.waiting, A.call)
    return {"ended", now, call[3]}
  end
end

local function check_key()
  if state ~= "new" and state ~= "rejected" and key[8] and key[8] ~= A.task then
    return refuse("key", "mismatch: this key belongs to another task", {task = key[8], state = state})
  end
  if state ~= "new" and state ~= "rejected" and fingerprint and fingerprint ~= own_print and holder ~= A.call then
    return refuse("key", "mismatch: this key was used with other arguments", {holder = holder, state = state})
  end
  if state == "claimed" or state == "sending" then
    if owner == A.owner then
      return {"claimed", tonumber(key[5]), tonumber(redis.call("HGET", K.call, "attempts") or 0), now, key[9] or "", door,
        nobody_asks_again and 1 or 0, call[11] or "", tonumber(call[13] or 0), own_print}
    end
    if owner == A.alive_owner and holder ~= A.call then
      return refuse("key", "in progress", {holder = owner, age = (now - tonumber(key[7])) / 1000, state = state})
    end
    return {"busy", now, owner, tonumber(key[5]), tonumber(key[6]), holder}
  end
  if state == "done" then
    local kept = redis.call("HMGET", K.key, "result", "flaw")
    redis.call("HSET", K.call, "state", "done", "task", A.task, "key", A.key, "kwargs", kwargs, "fingerprint", own_print,
      "at_ms", called_at)
    redis.call("PEXPIRE", K.call, policy.keep_ms)
    redis.call("ZREM", K.queued, A.call)
    redis.call("ZREM", K.waiting, A.call)
    redis.call("HINCRBY", K.metrics, "total_replayed", 1)
    redis.call("HINCRBY", K.agent_meta, "revision", 1)
    redis.call("HSET", K.agent_meta, "updated_ms", now)
    tell("replayed", {door = door})
    return {"replay", now, kept[1], kept[2] or ""}
  end
  if state == "unknown" and holder == A.call and key[10] then
    redis.call("ZREM", K.queued, A.call)
    redis.call("ZADD", K.waiting, now + cjson.decode(key[10]).every_ms, A.call) -- should this look-up never end
    return {"verify", now, owner or "", tonumber(key[5]), tonumber(redis.call("HGET", K.call, "attempts") or 0), key[9]}
  end
  if not free then
    local why = redis.call("HGET", K.key, "why") or ""
    if holder == A.call then
      return {"ended", now, cjson.encode({error = state, stage = "key", why = why})}
    end
    return refuse("key", state == "unknown" and "outcome unknown" or state, {holder = holder, why = why})
  end
end

-- A call that waited for its service and may not wait longer was not just refused: it is listed, with the reason.
local function give_up(stage, why, fields)
  local since = tonumber(call[14] or 0)
  if since == 0 then
    return refuse(stage, why, fields)
  end
  fields.waited = (now - since) / 1000
  fields.why = call[16] or nil
  forget_wait(K.errors, A.call)
  local words = why .. (fields.why and ": " .. fields.why or "")
  redis.call("LPUSH", K.errors, cjson.encode({at = now, task = A.task, key = A.key, call = A.call, error = words}))
  redis.call("LTRIM", K.errors, 0, KEPT_ERRORS - 1)
  redis.call("ZADD", K.dead, now, A.call)
  redis.call("ZREMRANGEBYRANK", K.dead, 0, -KEPT_DEAD - 1)
  redis.call("HINCRBY", K.metrics, "total_failed", 1)
  redis.call("HDEL", K.call, "waits", "waits_since_ms", "waits_why", "paid_ms")
  return refuse(stage, why, fields)
end

-- What passes by itself a call waits out, as long as its age allows, if nobody would ask again.
local function wait_or_refuse(stage, why, due, fields)
  if nobody_asks_again and due - called_at <= policy.max_age_ms then
    return defer(stage, why, due, fields)
  end
  return give_up(stage, why, fields)
end

local function check_pause()
  local pause = redis.call("HGET", K.agent_meta, "pause")
  if not pause then
    return nil
  end
  local record, due = cjson.decode(pause), now + PAUSED_MS
  return wait_or_refuse("paused", "paused", due, {by = record.by, why = record.why})
end

local function check_age()
  if expires and now > tonumber(expires) then
    return give_up("age", "expired", {age = (now - called_at) / 1000})
  end
  if now - called_at > policy.max_age_ms then
    return give_up("age", "too old", {age = (now - called_at) / 1000, max_age = policy.max_age_ms / 1000})
  end
end

local function check_caps()
  for i, cap in ipairs(policy.caps) do
    redis.call("ZREMRANGEBYSCORE", caps[i], "-inf", now - cap.window_ms)
    for _, early in ipairs(redis.call("ZRANGEBYSCORE", caps[i], "(" .. now + cap.window_ms, "+inf")) do
      redis.call("ZADD", caps[i], now, early) -- taken while the clock was ahead
    end
    local taken = redis.call("ZSCORE", caps[i], A.key) and 1 or 0
    local count = redis.call("ZCARD", caps[i]) - taken
    if count >= cap.limit then
      local oldest = redis.call("ZRANGE", caps[i], 0, 0, "WITHSCORES")
      local retry = (tonumber(oldest[2]) + cap.window_ms - now) / 1000
      local fields = {rule = cap.rule, count = count, retry_after = retry}
      return wait_or_refuse("cap", "cap reached", math.ceil(now + retry * 1000), fields)
    end
  end
end

-- A time further ahead than its rule puts it was written while the clock was ahead. Kept, so that time counts from now.
local function within(due, latest, name, field)
  if due > latest then
    redis.call("HSET", name, field, latest)
    return latest
  end
  return due
end

-- A waiting call comes back at the slot it booked; a new call queues behind the slots already booked. Who paid for a try
-- that reached nothing is let through: its slot is still its own.
local function check_rates()
  if call[15] then
    return nil
  end
  local due, worst = 0, nil
  for i, rate in ipairs(policy.rates) do
    local name = rates[i]
    local kept = redis.call("HMGET", name, "tat_ms", "booked_ms")
    local tat = math.max(within(tonumber(kept[1] or 0), now + rate.burst * rate.every_ms, name, "tat_ms"), now)
    local booked = tonumber(kept[2] or 0)
    if booked > now + rate.wait_ms + rate.every_ms then
      redis.call("HDEL", name, "booked_ms") -- no call waits for so long
      booked = 0
    end
    local opens = tat + rate.every_ms - rate.burst * rate.every_ms
    if not call[4] then
      opens = math.max(opens, booked > now and booked + rate.every_ms or 0)
    end
    if opens > now and opens >= due then
      due, worst = opens, {rate = rate, name = name}
    end
  end
  if not worst then
    return nil
  end
  due = math.ceil(due)
  local fields = {rule = worst.rate.rule, retry_after = (due - now) / 1000}
  if worst.rate.wait_ms == 0 then
    return refuse("rate", "rate limited", fields)
  elseif due - called_at > worst.rate.wait_ms then
    fields.waited = (now - called_at) / 1000
    return refuse("rate", "rate limited for too long", fields)
  end
  local last = math.max(due, tonumber(redis.call("HGET", worst.name, "booked_ms") or 0))
  redis.call("HSET", worst.name, "booked_ms", last)
  redis.call("PEXPIRE", worst.name, math.ceil(last - now + (worst.rate.burst + 1) * worst.rate.every_ms))
  redis.call("HSET", K.call, "booked_ms", due)
  return defer("rate", "rate limited", due, fields)
end

local function check_breaker()
  if not policy.breaker then
    return nil
  end
  local kept = redis.call("HMGET", K.breaker, "open_until_ms", "probe", "probe_until_ms", "failures")
  if not kept[1] then
    return nil
  end
  local open_until = within(tonumber(kept[1]), now + policy.breaker.cooldown_ms, K.breaker, "open_until_ms")
  local fields = {rule = policy.breaker.rule, failures = tonumber(kept[4] or 0)}
  if now < open_until then
    fields.retry_after = (open_until - now) / 1000
    return wait_or_refuse("breaker", "breaker open", open_until, fields)
  end
  local probe_until = within(tonumber(kept[3] or 0), now + A.lease_ms, K.breaker, "probe_until_ms")
  if kept[2] and kept[2] ~= A.key and now < probe_until then
    fields.retry_after, fields.probe = (probe_until - now) / 1000, kept[2]
    return wait_or_refuse("breaker", "breaker is probing", probe_until, fields)
  end
end

local function take()
  -- An effect under way holds its place with a time in the future, so that only those that are done read as done.
  for i, cap in ipairs(policy.caps) do
    redis.call("ZADD", caps[i], now + cap.window_ms, A.key)
    redis.call("PEXPIRE", caps[i], 2 * cap.window_ms)
  end
  for i, rate in ipairs(policy.rates) do
    local name = rates[i]
    -- Of a slot that was paid for before, as much as came back since is paid again: as if all were paid only now.
    local price = call[15] and math.max(0, math.min(rate.every_ms, now - tonumber(call[15]))) or rate.every_ms
    local tat = math.max(tonumber(redis.call("HGET", name, "tat_ms") or 0), now) + price
    redis.call("HSET", name, "tat_ms", tat)
    redis.call("PEXPIRE", name, math.ceil(tat - now + rate.burst * rate.every_ms))
  end
  if policy.breaker and redis.call("HGET", K.breaker, "open_until_ms") then
    redis.call("HSET", K.breaker, "probe", A.key, "probe_until_ms", now + A.lease_ms)
  end
end

local function claim()
  take()
  if #policy.caps > 0 then
    redis.call("HSET", K.key, "caps", cjson.encode(caps))
  end
  local arrived = "arrived_ms:" .. (call[12] or "")
  local newest = tonumber(redis.call("HGET", K.agent_meta, arrived) or 0)
  if call[7] and (tonumber(call[7]) > newest or newest > now) then
    redis.call("HSET", K.agent_meta, arrived, math.min(call[7], now))
  end
  local fences = A.epoch ~= "" and K.ledger or K.agent_meta
  local fence = redis.call("HINCRBY", fences, "fence", 1)
  local attempt = redis.call("HINCRBY", K.call, "attempts", 1)
  redis.call("HINCRBY", K.key, "attempts", 1)
  redis.call("HSET", K.key, "state", "claimed", "task", A.task, "call", A.call, "fingerprint", own_print,
    "owner", A.owner, "fence", fence, "lease_ms", now + A.lease_ms, "started_ms", now, "epoch", A.epoch)
  redis.call("HSET", K.call, "state", "claimed")
  redis.call("HDEL", K.call, "paid_ms")
  if not call[1] then
    redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", kwargs, "fingerprint", own_print,
      "door", A.origin, "at_ms", now)
    redis.call("HSET", K.call, "effect", effect)
    if expires then
      redis.call("HSET", K.call, "expires_ms", expires)
    end
    tell("arrived", {door = A.origin})
  end
  if state == "rejected" then
    redis.call("HDEL", K.key, "why")
    redis.call("PERSIST", K.key)
    redis.call("PERSIST", K.history)
  end
  redis.call("ZREM", K.queued, A.call)
  redis.call("ZREM", K.waiting, A.call)
  redis.call("ZADD", K.running, now + A.lease_ms, A.key)
  return {"claimed", fence, attempt, now, key[9] or "", door, nobody_asks_again and 1 or 0, call[11] or "",
    tonumber(call[13] or 0), own_print}
end

-- The register says what a call is. A message only says that somebody wants it run: one that carries another task or other
-- arguments is not this call's, and one that comes before the call's time changes nothing. A code change may add an
-- argument with a default, or change the template of the key: then the message is still what was registered.
local function check_identity()
  if not call[1] then
    if A.accepts_unregistered == "" then
      return {"unregistered", now}
    end
    return nil
  end
  if is_registered and (registered[1] ~= A.task or (own_print ~= A.fingerprint and kwargs ~= A.sent_kwargs)) then
    return {"differs", now, registered[1], kwargs}
  end
  if call[10] and call[10] ~= A.key then
    return {"other key", now, call[10]}
  end
  local due = redis.call("ZSCORE", K.waiting, A.call)
  if due and tonumber(due) > now then
    return {"early", now, tonumber(due)}
  end
end

return check_identity() or check_call() or check_ledger() or check_key() or check_pause() or check_age() or check_caps() or check_rates()
  or check_breaker() or claim()
