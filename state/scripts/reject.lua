-- reject: end a call that was refused before it could be admitted, because its arguments do not fit its task.
--
-- KEYS[1] -> call      KEYS[2] -> key       KEYS[3] -> queued    KEYS[4] -> waiting   KEYS[5] -> story
-- KEYS[6] -> head      KEYS[7] -> metrics
-- ARGV[1] -> call id   ARGV[2] -> task      ARGV[3] -> arguments, JSON  ARGV[4] -> door
-- ARGV[5] -> receipt, JSON                  ARGV[6] -> keep, ms
-- ARGV[7] -> arguments as the message carries them, as in admit.lua
-- ARGV[8] -> "1" to write down a call that was never registered, "" to be told first
--
-- Returns {"rejected"} | {"kept", state}   it has begun or ended
--       | {"unregistered"}                 nobody registered this call here: see whether another agent has it, ask again
--       | {"differs", task, arguments}     the message is not what this id was registered as; nothing was touched
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local receipt = cjson.decode(ARGV[5])

local call = redis.call("HMGET", KEYS[1], "state", "task", "kwargs", "fingerprint")
local state = call[1]
if not state and ARGV[8] == "" then
  return {"unregistered"}
elseif call[4] and call[4] ~= "" and (call[2] ~= ARGV[2] or call[3] ~= ARGV[7]) then
  return {"differs", call[2], call[3]}
end
if state and state ~= "queued" and state ~= "waiting" then
  return {"kept", state}
end
if not state then
  redis.call("HSET", KEYS[1], "task", ARGV[2], "kwargs", ARGV[3], "door", ARGV[4], "at_ms", now)
end
redis.call("HSET", KEYS[1], "state", "rejected", "answer", ARGV[5])
redis.call("PEXPIRE", KEYS[1], ARGV[6])
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])

local key = redis.call("HMGET", KEYS[2], "state", "call")
if key[2] == ARGV[1] and (key[1] == "queued" or key[1] == "waiting") then
  redis.call("HSET", KEYS[2], "state", "rejected")
  redis.call("PEXPIRE", KEYS[2], ARGV[6])
  key[1] = "rejected"
end
receipt.at, receipt.event, receipt.call = now, "refused", ARGV[1]
tell_story(KEYS[5], cjson.encode(receipt))
if not key[1] or key[1] == "rejected" then
  redis.call("PEXPIRE", KEYS[5], ARGV[6])
end
redis.call("HINCRBY", KEYS[7], "total_refused", 1)
redis.call("HINCRBY", KEYS[7], "refused_" .. receipt.stage, 1)
redis.call("HINCRBY", KEYS[6], "revision", 1)
redis.call("HSET", KEYS[6], "updated_ms", now)
return {"rejected"}
