-- cancel: end a call that has not begun, because a person asked for it. Its key does not run again until a person allows it.
--
-- Arguments:
--   call
--   by: the person, or the program through which the person asked
-- Returns:
--   {"cancelled", "key" | "call"}    "key" if the key is cancelled too, "call" if the key belongs to another call
--   {"unwritten", "key" | "call"}    it was cancelled before, and the journal does not know it yet
--   {"kept", state of the call}
-- The call keeps the field `unwritten` until the caller has written the journal and deletes the field.
--! include prelude now history
local K = named({"key", "call", "queued", "waiting", "history", "agent_meta"}, KEYS)
local A = named({"call", "by"}, ARGV)
local call = redis.call("HMGET", K.call, "state", "unwritten")
local state = call[1]
if state == "cancelled" and call[2] then
  return {"unwritten", call[2]}
elseif state ~= "queued" and state ~= "waiting" then
  return {"kept", state or "gone"}
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = A.by})
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)
local what = "call"
local key = redis.call("HMGET", K.key, "state", "call")
if key[2] == A.call and (key[1] == "queued" or key[1] == "waiting") then
  what = "key"
  redis.call("HSET", K.key, "state", "cancelled", "why", "cancelled by " .. A.by)
end
redis.call("HSET", K.call, "state", "cancelled", "answer", receipt, "unwritten", what)
append_event(K.history, cjson.encode({at = now, event = "cancelled", call = A.call, by = A.by}))
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"cancelled", what}
