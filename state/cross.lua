-- cross: step over the line, from claimed to sending, if this attempt still holds the claim and nobody paused the agent.
-- The first payload of a key is kept for ever; a later attempt gets that one back.
--
-- KEYS[1] -> key       KEYS[2] -> head      KEYS[3] -> story     KEYS[4] -> call
-- ARGV[1] -> owner     ARGV[2] -> fence     ARGV[3] -> payload, JSON
-- ARGV[4..] -> events of this attempt so far, JSON
--
-- Returns {"sending", payload} | {"lost", state} | {"paused", pause, JSON}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence", "payload")
if key[2] ~= ARGV[1] or key[3] ~= ARGV[2] then
  return {"lost", key[1] or "gone"}
elseif key[1] == "sending" then
  return {"sending", key[4]}
elseif key[1] ~= "claimed" then
  return {"lost", key[1]}
end
local pause = redis.call("HGET", KEYS[2], "pause")
if pause then
  return {"paused", pause}
end
redis.call("HSET", KEYS[1], "state", "sending", "payload", key[4] or ARGV[3])
redis.call("HSET", KEYS[4], "state", "sending")
redis.call("RPUSH", KEYS[3], unpack(ARGV, 4))
redis.call("HINCRBY", KEYS[2], "revision", 1)
redis.call("HSET", KEYS[2], "updated_ms", now)
return {"sending", key[4] or ARGV[3]}
