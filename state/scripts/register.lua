-- register: write a call down before its message is sent. Writing the same call again changes nothing.
--
-- KEYS[1] -> call      KEYS[2] -> key       KEYS[3] -> queued    KEYS[4] -> waiting
-- KEYS[5] -> story     KEYS[6] -> followed
-- ARGV[1] -> call id   ARGV[2] -> task      ARGV[3] -> key, as text    ARGV[4] -> arguments, JSON
-- ARGV[5] -> fingerprint of the arguments   ARGV[6] -> door
-- ARGV[7] -> grace: ms after which a call that never started counts as lost
-- ARGV[8] -> delay: ms before its message is sent for the first time, 0 for now
-- ARGV[9] -> expires: ms after which it is refused, 0 for never
-- ARGV[10] -> digest of what the call was made from, or ""
-- ARGV[11] -> options, JSON, or ""      ARGV[12] -> lane of its messages, or ""
-- ARGV[13] -> "1" if other calls follow this one      ARGV[14] -> "1" if its task has an effect, else "0"
--
-- Returns {"registered", now} | {"known", state of the call, digest of what that was made from, or "", its task, its arguments,
--            its options, JSON, or ""}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local known = redis.call("HMGET", KEYS[1], "state", "digest", "task", "kwargs", "options")
if known[1] then
  return {"known", known[1], known[2] or "", known[3], known[4] or "", known[5] or ""}
end
local delay = tonumber(ARGV[8])
local to = delay > 0 and "waiting" or "queued"
redis.call("HSET", KEYS[1], "task", ARGV[2], "key", ARGV[3], "kwargs", ARGV[4], "fingerprint", ARGV[5],
  "door", ARGV[6], "state", to, "at_ms", now + delay, "delay_ms", delay, "effect", ARGV[14])
if ARGV[10] ~= "" then
  redis.call("HSET", KEYS[1], "digest", ARGV[10])
end
if ARGV[11] ~= "" then
  redis.call("HSET", KEYS[1], "options", ARGV[11], "lane", ARGV[12])
end
if ARGV[13] == "1" then
  redis.call("ZADD", KEYS[6], now, ARGV[1])
end
if tonumber(ARGV[9]) > 0 then
  redis.call("HSET", KEYS[1], "expires_ms", now + ARGV[9])
end
if delay > 0 then
  redis.call("ZADD", KEYS[4], now + delay, ARGV[1])
else
  redis.call("ZADD", KEYS[3], now + ARGV[7], ARGV[1])
  redis.call("HSET", KEYS[1], "sent_ms", now)
end

local state = redis.call("HGET", KEYS[2], "state")
if not state or state == "rejected" then
  redis.call("HSET", KEYS[2], "state", to, "task", ARGV[2], "call", ARGV[1], "fingerprint", ARGV[5])
  redis.call("HDEL", KEYS[2], "why")
  redis.call("PERSIST", KEYS[2])
  redis.call("PERSIST", KEYS[5])
end
tell_story(KEYS[5], cjson.encode({at = now, event = "registered", door = ARGV[6], call = ARGV[1]}))
return {"registered", now}
