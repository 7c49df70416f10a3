-- rebuild: write one key as the journal knows it, unless Redis knows more.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> running   KEYS[5] -> held
-- KEYS[6] -> story     KEYS[7] -> ledger    KEYS[8] -> head      KEYS[9] -> followed
-- KEYS[10] -> dead
-- ARGV[1] -> key, as text
-- ARGV[2] -> state: "done" | "unknown" | "held" | "cancelled" | "rejected" | "waiting"
-- ARGV[3] -> call id   ARGV[4] -> fence, 0 if it never was about to be sent     ARGV[5] -> why, or ""
-- ARGV[6] -> task      ARGV[7] -> arguments, JSON      ARGV[8] -> fingerprint   ARGV[9] -> door
-- ARGV[10] -> ms to keep a call that ended   ARGV[11] -> ms when it ended
-- ARGV[12] -> token of the recovery that fills an empty Redis, or ""
-- ARGV[13] -> options, JSON, or ""   ARGV[14] -> lane of its messages, or ""   ARGV[15] -> "1" if other calls follow it
-- ARGV[16] -> further fields of the call, JSON: {name: text}; at_ms among them is when it is due
-- ARGV[17] -> "failed" | "refused": how the attempt with this fence ended, if the text was its own and is forgotten; or ""
-- ARGV[18..] -> further fields of the key, in pairs
--
-- Returns {"rebuilt", state} | {"kept", state} | {"lost"}      Redis lost data again since the recovery began
-- include story.lua.inc
-- include forget.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[12] ~= "" and redis.call("HGET", KEYS[7], "recovering") ~= ARGV[12] then
  return {"lost"}
end
local living = redis.call("HMGET", KEYS[1], "state", "fence", "payload", "settled", "owner", "frozen_by", "started_ms")
local state, fence, to = living[1], tonumber(living[2] or 0), ARGV[2]
local of_call, KEPT_DEAD = cjson.decode(ARGV[16]), 1000

local function knows_more()
  if not state then
    return false
  elseif state == "done" or fence > tonumber(ARGV[4]) then
    return true
  elseif to == "waiting" or to == "rejected" then
    return state == "queued" or state == "waiting" or state == "rejected" or state == "cancelled"
  elseif to == "unknown" then
    local decided = state == "sending" or state == "unknown" or state == "held" or state == "cancelled"
    return fence == tonumber(ARGV[4]) and (decided or living[4] == ARGV[4])
  end
  return false
end

local function write_call()
  local was = redis.call("HGET", KEYS[2], "state")
  redis.call("HSET", KEYS[2], "task", ARGV[6], "key", ARGV[1], "kwargs", ARGV[7], "fingerprint", ARGV[8], "door", ARGV[9],
    "state", to, "effect", "1")
  for name, value in pairs(of_call) do
    redis.call("HSETNX", KEYS[2], name, value)
  end
  redis.call("HSETNX", KEYS[2], "at_ms", now)
  if ARGV[13] ~= "" then
    redis.call("HSET", KEYS[2], "options", ARGV[13], "lane", ARGV[14])
  end
  if ARGV[15] == "1" then
    redis.call("ZADD", KEYS[9], now, ARGV[3])
  end
  if to == "waiting" then
    redis.call("PERSIST", KEYS[2])
    redis.call("HDEL", KEYS[2], "answer")
    redis.call("ZADD", KEYS[3], math.max(now, tonumber(of_call.at_ms or now)), ARGV[3])
  else
    redis.call("ZREM", KEYS[3], ARGV[3])
  end
  if (to == "cancelled" or to == "rejected") and was ~= to then -- what its message is answered, should it still come
    local error = to == "cancelled" and to or ARGV[5]
    redis.call("HSET", KEYS[2], "answer", cjson.encode({error = error, stage = "journal", why = ARGV[5]}))
  end
  if to == "rejected" then
    redis.call("ZADD", KEYS[10], ARGV[11], ARGV[3])
    redis.call("ZREMRANGEBYRANK", KEYS[10], 0, -KEPT_DEAD - 1)
  else
    redis.call("ZREM", KEYS[10], ARGV[3])
  end
end

if knows_more() then
  if #ARGV > 17 and (fence == tonumber(ARGV[4]) or not living[3]) then
    redis.call("HSET", KEYS[1], unpack(ARGV, 18)) -- the first payload, and what the provider gave, stay
    if fence > tonumber(ARGV[4]) and living[5] then
      redis.call("HSET", KEYS[1], "owner", living[5]) -- a newer attempt has the key
    end
  end
  if state == "unknown" and redis.call("HEXISTS", KEYS[1], "verify") == 1 and not redis.call("ZSCORE", KEYS[3], ARGV[3]) then
    redis.call("ZADD", KEYS[3], now, ARGV[3])
  end
  if (state == "unknown" or state == "held") and redis.call("HEXISTS", KEYS[5], ARGV[1]) == 0 then
    local doubt = redis.call("HMGET", KEYS[1], "why", "since_ms")
    local listed = {key = ARGV[1], state = state, since = tonumber(doubt[2] or now), why = doubt[1] or ARGV[5]}
    redis.call("HSET", KEYS[5], ARGV[1], cjson.encode(listed)) -- the list may be lost where the key is not
  end
  if to == "waiting" and redis.call("EXISTS", KEYS[2]) == 0 then
    write_call() -- another call has the key; this one is answered too
  end
  local crossed = redis.call("HEXISTS", KEYS[1], "payload") == 1
  if crossed and state ~= "waiting" and state ~= "queued" and state ~= "claimed" and state ~= "rejected" then
    redis.call("HSET", KEYS[7], "sent:" .. ARGV[1], fence)
  end
  return {"kept", state}
end

-- Redis may know an earlier doubt about this text that these files of the journal do not reach back to.
if ARGV[17] ~= "" and (not living[3] or living[6] == ARGV[4]) then
  forget_text(KEYS[1], ARGV[17])
end
redis.call("HDEL", KEYS[1], "frozen_by")
if to == "waiting" and living[7] then
  redis.call("HSET", KEYS[2], "paid_ms", living[7], "again", 1) -- its slots of the rates, as in settle.lua
end
redis.call("HSET", KEYS[1], "state", to, "call", ARGV[3], "task", ARGV[6], "fingerprint", ARGV[8], "fence", ARGV[4],
  unpack(ARGV, 18))
if state then
  redis.call("PERSIST", KEYS[1])
  redis.call("HDEL", KEYS[1], "absences", "looks", "proofs", "lease_ms", "why") -- of an earlier doubt
end
redis.call("ZREM", KEYS[4], ARGV[1])
redis.call("HDEL", KEYS[5], ARGV[1])
write_call()
if to == "waiting" or to == "rejected" then
  redis.call("HDEL", KEYS[7], "sent:" .. ARGV[1])
end
if to == "done" or to == "rejected" then
  redis.call("PEXPIRE", KEYS[2], ARGV[10])
end
if to == "done" then
  redis.call("HSET", KEYS[1], "done_ms", ARGV[11])
elseif to == "unknown" or to == "held" then
  local since = tonumber(redis.call("HGET", KEYS[1], "since_ms") or now)
  redis.call("HSET", KEYS[1], "why", ARGV[5], "since_ms", since)
  redis.call("HSET", KEYS[5], ARGV[1], cjson.encode({key = ARGV[1], state = to, since = since, why = ARGV[5]}))
  if to == "unknown" and redis.call("HEXISTS", KEYS[1], "verify") == 1 then
    redis.call("ZADD", KEYS[3], now, ARGV[3])
  end
elseif to == "rejected" or to == "cancelled" then
  redis.call("HSET", KEYS[1], "why", ARGV[5])
end
if to == "rejected" then
  redis.call("PEXPIRE", KEYS[1], ARGV[10])
end
local crossed = living[3]
for i = 18, #ARGV, 2 do
  crossed = crossed or ARGV[i] == "payload"
end
if crossed and (to == "done" or to == "unknown" or to == "held") then
  redis.call("HSET", KEYS[7], "sent:" .. ARGV[1], ARGV[4])
end
local told = {at = now, event = "rebuilt", state = to, from = "the journal", why = ARGV[5], before = state or "gone", call = ARGV[3]}
tell_story(KEYS[6], cjson.encode(told))
redis.call("HINCRBY", KEYS[8], "revision", 1)
redis.call("HSET", KEYS[8], "updated_ms", now)
return {"rebuilt", to}
