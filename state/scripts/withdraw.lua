-- withdraw: take a registration back that could not be written down, before its caller is told that it was refused.
--
-- KEYS[1] -> call      KEYS[2] -> key       KEYS[3] -> queued    KEYS[4] -> waiting   KEYS[5] -> story
-- KEYS[6] -> followed
-- ARGV[1] -> call id
--
-- Returns {"withdrawn"} | {"kept", state of the call}      it was sent meanwhile, so it is accepted
local call = redis.call("HMGET", KEYS[1], "state", "sends", "attempts")
if (call[1] ~= "queued" and call[1] ~= "waiting") or call[2] or call[3] then
  return {"kept", call[1] or "gone"}
end
redis.call("DEL", KEYS[1])
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])
redis.call("ZREM", KEYS[6], ARGV[1])
local key = redis.call("HMGET", KEYS[2], "state", "call")
if key[2] == ARGV[1] and (key[1] == "queued" or key[1] == "waiting") then
  redis.call("HSET", KEYS[2], "state", "rejected") -- free, as before; what an earlier call left stays
  redis.call("HDEL", KEYS[2], "call")
  if redis.call("HEXISTS", KEYS[2], "attempts") == 0 then
    redis.call("DEL", KEYS[2])
  end
end
for _, event in ipairs(redis.call("LRANGE", KEYS[5], -5, -1)) do
  local told = cjson.decode(event)
  if told.event == "registered" and told.call == ARGV[1] then
    redis.call("LREM", KEYS[5], -1, event)
  end
end
return {"withdrawn"}
