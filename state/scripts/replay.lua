-- replay: run a rejected call again, with the same arguments and under the same id.
--
-- Arguments:
--   call
--   decision: JSON {id, by, door, what, subject, why}: the entry of the list of decisions
-- Returns:
--   {"replayed"}
--   {"kept", state of the call}
--! include now history agent restart audit
local K = named({"key", "call", "waiting", "dead", "history", "agent_meta", "followed", "audit", "unwritten"}, KEYS)
local A = named({"call", "decision"}, ARGV)

local said = cjson.decode(A.decision)
local call = fields(K.call, "state", "fingerprint", "task", "options")
if call.state ~= "rejected" or not call.fingerprint then
  return {"kept", call.state or "gone"}
end
restart_call(K.call)
redis.call("HSET", K.call, "state", "waiting")
redis.call("ZADD", K.waiting, now, A.call)
if call.options then
  redis.call("ZADD", K.followed, now, A.call) -- it ends once more
end
redis.call("ZREM", K.dead, A.call)
take_free_key(K.key, K.history, A.call, "waiting", call.task, call.fingerprint)
append_event(K.key, K.history, {at = now, event = "replayed by a person", call = A.call, by = said.by, why = said.why})
note_decision(K.audit, K.unwritten, said, call.state, "waiting")
count_change(K.agent_meta)
return {"replayed"}
