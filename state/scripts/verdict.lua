-- verdict: record what a look-up at the provider said of an effect whose outcome is unknown. That it is absent is proof
-- only if nobody can send it any more (its owner is dead, or ended the attempt itself), if what was on its way has had
-- the time to arrive, and if it is said often enough, with pauses. Then the call is sent again.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> held      KEYS[5] -> story
-- KEYS[6] -> head      KEYS[7] -> ledger
-- ARGV[1] -> key, as text   ARGV[2] -> call id   ARGV[3] -> owner   ARGV[4] -> fence
-- ARGV[5] -> "absent" | "failed" (the provider gave no answer to trust) | "away" (it says itself that it cannot answer now,
--            so nobody looked: a provider that is away for a day does not use up the look-ups)
-- ARGV[6] -> "1" if the owner is proven dead
-- ARGV[7] -> boot: this run of the machine that looked     ARGV[8] -> ms since that boot, when the look-up began
-- ARGV[9] -> look-ups after which a person is asked        ARGV[10] -> how often a call may be sent again this way
-- ARGV[11] -> ms for which the provider wants to be left alone
-- ARGV[12..] -> events of the look-up, JSON
--
-- What is proof is measured since a boot, by the machine that looks: clocks that are set change nothing.
--
-- Returns {"kept", state} | {"unknown", ms until the next look-up} | {"waiting"} | {"held", why}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local GONE, ABSENT = "gone:" .. ARGV[7] .. ":" .. ARGV[4], "absent:" .. ARGV[7] .. ":" .. ARGV[4]
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence", "verify", "gone", GONE, ABSENT, "since_ms")
if key[1] ~= "unknown" or key[2] ~= ARGV[3] or key[3] ~= ARGV[4] or not key[4] then
  return {"kept", key[1] or "gone"}
end
local verify, began, gone = cjson.decode(key[4]), tonumber(ARGV[8]), tonumber(key[6])
if not gone and (key[5] == ARGV[4] or ARGV[6] == "1") then
  gone = began -- gone by now, and perhaps not before
  redis.call("HSET", KEYS[1], "gone", ARGV[4], GONE, gone)
end
tell_story(KEYS[5], unpack(ARGV, 12))
local looks = redis.call("HINCRBY", KEYS[1], "looks", ARGV[5] == "away" and 0 or 1)

local function tell(event, fields)
  fields.at, fields.event, fields.fence = now, event, tonumber(ARGV[4])
  tell_story(KEYS[5], cjson.encode(fields))
  redis.call("HINCRBY", KEYS[6], "revision", 1)
  redis.call("HSET", KEYS[6], "updated_ms", now)
end

local function absences()
  local spaced = not key[7] or began >= tonumber(key[7]) + verify.every_ms
  if ARGV[5] ~= "absent" or not gone or began < gone + verify.drain_ms or not spaced then
    return 0
  end
  redis.call("HSET", KEYS[1], ABSENT, began)
  return redis.call("HINCRBY", KEYS[1], "absences", 1)
end

local function move(to)
  redis.call("HSET", KEYS[1], "state", to)
  redis.call("HSET", KEYS[2], "state", to)
end

local function send_again(count)
  move("waiting")
  redis.call("HSET", KEYS[2], "again", 1)
  redis.call("ZADD", KEYS[3], now, ARGV[2])
  redis.call("HDEL", KEYS[4], ARGV[1])
  redis.call("HDEL", KEYS[7], "sent:" .. ARGV[1])
  redis.call("HDEL", KEYS[1], "why", "since_ms", "gone", GONE, "absences", ABSENT, "looks", "lease_ms")
  tell("waiting", {why = "proven absent", absences = count, drain = verify.drain_ms / 1000})
  return {"waiting"}
end

local function hold(why)
  move("held")
  redis.call("ZREM", KEYS[3], ARGV[2])
  redis.call("HSET", KEYS[1], "why", why)
  redis.call("HSET", KEYS[4], ARGV[1], cjson.encode({key = ARGV[1], state = "held", since = tonumber(key[8]), why = why}))
  tell("held", {why = why})
  return {"held", why}
end

local count = absences()
if count >= verify.absences then
  if redis.call("HINCRBY", KEYS[1], "proofs", 1) > tonumber(ARGV[10]) then
    return hold("sent " .. ARGV[10] .. " times more after it was proven absent, and in doubt again")
  end
  return send_again(count)
elseif looks >= tonumber(ARGV[9]) then
  return hold(looks .. " look-ups, and no proof either way")
end
local pause = verify.every_ms * math.min(2 ^ math.max(looks - 1, 0), 10) -- its owner may come back: no reason to hurry
if gone then
  pause = math.max(verify.every_ms, gone + verify.drain_ms - began)
end
pause = math.max(pause, tonumber(ARGV[11]))
redis.call("ZADD", KEYS[3], now + pause, ARGV[2])
tell("unknown", {absences = count, needed = verify.absences, owner_gone = gone ~= nil, next_look = pause / 1000})
return {"unknown", pause}
