-- withdraw: take a registration back that the journal could not record, before its caller is told that it was refused.
--
-- Arguments:
--   call
-- Returns:
--   {"withdrawn"}
--   {"kept", state of the call}    it was sent meanwhile, so it is accepted
--! include prelude
local K = named({"call", "key", "queued", "waiting", "history", "followed"}, KEYS)
local A = named({"call"}, ARGV)
local call = redis.call("HMGET", K.call, "state", "sends", "attempts")
if (call[1] ~= "queued" and call[1] ~= "waiting") or call[2] or call[3] then
  return {"kept", call[1] or "gone"}
end
redis.call("DEL", K.call)
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)
redis.call("ZREM", K.followed, A.call)
local key = redis.call("HMGET", K.key, "state", "call")
if key[2] == A.call and (key[1] == "queued" or key[1] == "waiting") then
  redis.call("HSET", K.key, "state", "rejected") -- free, as before; what an earlier call left stays
  redis.call("HDEL", K.key, "call")
  if redis.call("HEXISTS", K.key, "attempts") == 0 then
    redis.call("DEL", K.key)
  end
end
for _, event in ipairs(redis.call("LRANGE", K.history, -5, -1)) do
  local told = cjson.decode(event)
  if told.event == "registered" and told.call == A.call then
    redis.call("LREM", K.history, -1, event)
  end
end
return {"withdrawn"}
