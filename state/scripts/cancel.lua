-- cancel: end a call that has not begun, because a person said so. Its key is not run again until a person says so.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> queued    KEYS[4] -> waiting   KEYS[5] -> story
-- KEYS[6] -> head
-- ARGV[1] -> call id   ARGV[2] -> by whom, or through what
--
-- Returns {"cancelled", "key" | "call"}     whether its key is cancelled too, or belongs to another call
--       | {"unwritten", "key" | "call"}     it was cancelled before, and the journal does not know it yet
--       | {"kept", state of the call}
-- The field `unwritten` stays with the call until its caller has written the journal, and takes it away.
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local call = redis.call("HMGET", KEYS[2], "state", "unwritten")
local state = call[1]
if state == "cancelled" and call[2] then
  return {"unwritten", call[2]}
elseif state ~= "queued" and state ~= "waiting" then
  return {"kept", state or "gone"}
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = ARGV[2]})
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])
local what = "call"
local key = redis.call("HMGET", KEYS[1], "state", "call")
if key[2] == ARGV[1] and (key[1] == "queued" or key[1] == "waiting") then
  what = "key"
  redis.call("HSET", KEYS[1], "state", "cancelled", "why", "cancelled by " .. ARGV[2])
end
redis.call("HSET", KEYS[2], "state", "cancelled", "answer", receipt, "unwritten", what)
tell_story(KEYS[5], cjson.encode({at = now, event = "cancelled", call = ARGV[1], by = ARGV[2]}))
redis.call("HINCRBY", KEYS[6], "revision", 1)
redis.call("HSET", KEYS[6], "updated_ms", now)
return {"cancelled", what}
