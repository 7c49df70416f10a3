-- replay: run a rejected call again, with the same arguments and under the same id.
--
-- Arguments:
--   call
--   by: the person
-- Returns:
--   {"replayed"}
--   {"kept", state of the call}
--! include prelude now history
local K = named({"key", "call", "waiting", "dead", "history", "agent_meta", "followed"}, KEYS)
local A = named({"call", "by"}, ARGV)
local call = redis.call("HMGET", K.call, "state", "fingerprint", "task")
if call[1] ~= "rejected" or not call[2] then
  return {"kept", call[1] or "gone"}
end
redis.call("HSET", K.call, "state", "waiting", "at_ms", now, "attempts", 0, "lost", 0, "again", 1)
redis.call("HDEL", K.call, "answer", "booked_ms", "expires_ms", "waits", "waits_since_ms", "waits_why", "paid_ms")
redis.call("PERSIST", K.call)
redis.call("ZADD", K.waiting, now, A.call)
if redis.call("HEXISTS", K.call, "options") == 1 then
  redis.call("ZADD", K.followed, now, A.call) -- it ends once more
end
redis.call("ZREM", K.dead, A.call)
local state = redis.call("HGET", K.key, "state")
if not state or state == "rejected" then
  redis.call("HSET", K.key, "state", "waiting", "call", A.call, "fingerprint", call[2], "task", call[3])
  redis.call("HDEL", K.key, "why")
  redis.call("PERSIST", K.key)
  redis.call("PERSIST", K.history)
end
append_event(K.history, cjson.encode({at = now, event = "replayed by a person", call = A.call, by = A.by}))
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"replayed"}
