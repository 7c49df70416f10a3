-- resolve: a person says what became of a key that no program may decide about.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> held      KEYS[5] -> story
-- KEYS[6] -> head      KEYS[7] -> metrics   KEYS[8] -> ledger    KEYS[9] -> queued
-- KEYS[10] -> followed
-- ARGV[1] -> key, as text
-- ARGV[2] -> "applied" (it is out there) | "not-applied" (it is not: send it) | "cancel" (never send it)
--            | "approve" (let it run; only for what never crossed the line)
-- ARGV[3] -> by whom   ARGV[4] -> why   ARGV[5] -> result to answer when it is asked for, JSON
-- ARGV[6] -> state in which the person saw it, and ARGV[7] -> its fence then, or ""
--
-- Returns {"resolved", state} | {"kept", state}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local key = redis.call("HMGET", KEYS[1], "state", "fence", "call", "payload")
local state, call = key[1] or "gone", key[3] -- one that was restored from a state file has no call
if state ~= ARGV[6] or (key[2] or "") ~= ARGV[7] then
  return {"kept", state}
end
local to = ({applied = "done", ["not-applied"] = "waiting", approve = "waiting", cancel = "cancelled"})[ARGV[2]]
if to == "waiting" and not call then
  to = "rejected" -- and may be asked for anew
  redis.call("HDEL", KEYS[8], "sent:" .. ARGV[1])
end
local receipt = {at = now, event = "resolved", how = ARGV[2], by = ARGV[3], why = ARGV[4], before = state, state = to}

redis.call("HSET", KEYS[1], "state", to, "unwritten", ARGV[2]) -- until the journal has it
redis.call("HDEL", KEYS[1], "since_ms", "why", "absences", "looks", "proofs", "lease_ms")
redis.call("HDEL", KEYS[4], ARGV[1])
redis.call("PERSIST", KEYS[1])
redis.call("PERSIST", KEYS[5])
if call then
  redis.call("ZREM", KEYS[3], call)
  redis.call("ZREM", KEYS[9], call)
  redis.call("HSET", KEYS[2], "state", to)
  if redis.call("HEXISTS", KEYS[2], "options") == 1 then
    redis.call("ZADD", KEYS[10], now, call) -- this is another end than one that was followed before
  end
end
if to == "done" then
  redis.call("HSET", KEYS[1], "result", ARGV[5], "done_ms", now)
  if key[4] then
    redis.call("HSET", KEYS[8], "sent:" .. ARGV[1], key[2] or 0)
  end
  redis.call("HINCRBY", KEYS[7], "total_done", 1)
elseif to == "waiting" then
  redis.call("HDEL", KEYS[8], "sent:" .. ARGV[1])
  redis.call("HSET", KEYS[2], "at_ms", now, "attempts", 0, "lost", 0, "again", 1)
  redis.call("HDEL", KEYS[2], "answer", "booked_ms", "expires_ms", "waits", "waits_since_ms", "waits_why", "paid_ms")
  redis.call("PERSIST", KEYS[2])
  redis.call("ZADD", KEYS[3], now, call)
elseif to == "cancelled" then
  redis.call("HSET", KEYS[1], "why", "cancelled by " .. ARGV[3] .. ": " .. ARGV[4])
  if call then
    local answer = {error = "cancelled", stage = "person", by = ARGV[3], why = ARGV[4]}
    redis.call("HSET", KEYS[2], "answer", cjson.encode(answer))
  end
end
tell_story(KEYS[5], cjson.encode(receipt))
redis.call("HINCRBY", KEYS[6], "revision", 1)
redis.call("HSET", KEYS[6], "updated_ms", now)
return {"resolved", to}
