-- replay: run a call again that ended without a result, with the same arguments and under the same id.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> dead      KEYS[5] -> story   KEYS[6] -> head
-- KEYS[7] -> followed
-- ARGV[1] -> call id   ARGV[2] -> by whom
--
-- Returns {"replayed"} | {"kept", state of the call}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local call = redis.call("HMGET", KEYS[2], "state", "fingerprint", "task")
if call[1] ~= "rejected" or not call[2] then
  return {"kept", call[1] or "gone"}
end
redis.call("HSET", KEYS[2], "state", "waiting", "at_ms", now, "attempts", 0, "lost", 0, "again", 1)
redis.call("HDEL", KEYS[2], "answer", "booked_ms", "expires_ms", "waits", "waits_since_ms", "waits_why", "paid_ms")
redis.call("PERSIST", KEYS[2])
redis.call("ZADD", KEYS[3], now, ARGV[1])
if redis.call("HEXISTS", KEYS[2], "options") == 1 then
  redis.call("ZADD", KEYS[7], now, ARGV[1]) -- it ends once more
end
redis.call("ZREM", KEYS[4], ARGV[1])
local state = redis.call("HGET", KEYS[1], "state")
if not state or state == "rejected" then
  redis.call("HSET", KEYS[1], "state", "waiting", "call", ARGV[1], "fingerprint", call[2], "task", call[3])
  redis.call("HDEL", KEYS[1], "why")
  redis.call("PERSIST", KEYS[1])
  redis.call("PERSIST", KEYS[5])
end
tell_story(KEYS[5], cjson.encode({at = now, event = "replayed by a person", call = ARGV[1], by = ARGV[2]}))
redis.call("HINCRBY", KEYS[6], "revision", 1)
redis.call("HSET", KEYS[6], "updated_ms", now)
return {"replayed"}
