-- cancel: end a call that has not begun, because a person asked for it. Its key does not run again until a person allows it.
--
-- Arguments:
--   call
--   decision: JSON {id, by, door, what, subject, why}: the person, or the program through which the person asked
-- Returns:
--   {"cancelled", "key" | "call"}    "key" if the key is cancelled too, "call" if the key belongs to another call
--   {"unwritten", "key" | "call"}    it was cancelled before, and the journal does not know it yet
--   {"kept", state of the call}
-- The call keeps the field `unwritten` until the caller has written the journal and deletes the field.
--! include now history agent audit
local K = named({"key", "call", "queued", "waiting", "history", "agent_meta", "audit", "unwritten"}, KEYS)
local A = named({"call", "decision"}, ARGV)

local said = cjson.decode(A.decision)
local call = fields(K.call, "state", "unwritten")
if call.state == "cancelled" and call.unwritten then
  return {"unwritten", call.unwritten}
elseif call.state ~= "queued" and call.state ~= "waiting" then
  return {"kept", call.state or "gone"}
end
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)
local what = "call"
local key = fields(K.key, "state", "call")
if key.call == A.call and (key.state == "queued" or key.state == "waiting") then
  what = "key"
  redis.call("HSET", K.key, "state", "cancelled", "why", "cancelled by " .. said.by)
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = said.by})
redis.call("HSET", K.call, "state", "cancelled", "answer", receipt, "unwritten", what)
append_event(K.key, K.history, {at = now, event = "cancelled", call = A.call, by = said.by})
note_decision(K.audit, K.unwritten, said, call.state, "cancelled")
count_change(K.agent_meta)
return {"cancelled", what}
