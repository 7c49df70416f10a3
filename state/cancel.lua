-- cancel: end a call that has not begun, because a person said so. Its key is not run again until a person says so.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> queued    KEYS[4] -> waiting   KEYS[5] -> story
-- KEYS[6] -> head
-- ARGV[1] -> call id   ARGV[2] -> by whom, or through what
--
-- Returns {"cancelled"} | {"kept", state of the call}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = redis.call("HGET", KEYS[2], "state")
if state ~= "queued" and state ~= "waiting" then
  return {"kept", state or "gone"}
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = ARGV[2]})
redis.call("HSET", KEYS[2], "state", "cancelled", "answer", receipt)
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])
local key = redis.call("HMGET", KEYS[1], "state", "call")
if key[2] == ARGV[1] and (key[1] == "queued" or key[1] == "waiting") then
  redis.call("HSET", KEYS[1], "state", "cancelled", "why", "cancelled by " .. ARGV[2])
end
redis.call("RPUSH", KEYS[5], cjson.encode({at = now, event = "cancelled", call = ARGV[1], by = ARGV[2]}))
redis.call("HINCRBY", KEYS[6], "revision", 1)
redis.call("HSET", KEYS[6], "updated_ms", now)
return {"cancelled"}
