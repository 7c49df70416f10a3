-- withdraw: take a registration back that the journal could not record, before its caller is told that it was refused.
--
-- Arguments:
--   call
-- Returns:
--   {"withdrawn"}
--   {"kept", state of the call}    it was sent meanwhile, so it is accepted
local K = named({"call", "key", "queued", "waiting", "history", "followed"}, KEYS)
local A = named({"call"}, ARGV)

local call = fields(K.call, "state", "sends", "attempts")
if (call.state ~= "queued" and call.state ~= "waiting") or call.sends or call.attempts then
  return {"kept", call.state or "gone"}
end
redis.call("DEL", K.call)
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)
redis.call("ZREM", K.followed, A.call)
local key = fields(K.key, "state", "call", "attempts")
if key.call == A.call and (key.state == "queued" or key.state == "waiting") then
  redis.call("HSET", K.key, "state", "rejected") -- free, as before; what an earlier call left stays
  redis.call("HDEL", K.key, "call")
  if not key.attempts then
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
