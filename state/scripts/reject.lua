-- reject: end a call before it is admitted, because its arguments do not fit its task.
--
-- Arguments:
--   call, task, origin: of the call
--   kwargs: its arguments, JSON
--   receipt: JSON
--   keep_ms: how long the call is kept
--   sent_kwargs: arguments as the message carries them, as in admit.lua
--   accepts_unregistered: "1" to record a call that was never registered, "" to be told first
-- Returns:
--   {"rejected"}
--   {"kept", state}               it has begun or ended
--   {"unregistered"}              this agent has no such call: see whether another agent has it, ask again
--   {"differs", task, arguments}  the message does not match what is registered; nothing was changed
--! include prelude now history
local K = named({"call", "key", "queued", "waiting", "history", "agent_meta", "metrics"}, KEYS)
local A = named({"call", "task", "kwargs", "origin", "receipt", "keep_ms", "sent_kwargs", "accepts_unregistered"}, ARGV)
local receipt = cjson.decode(A.receipt)

local call = redis.call("HMGET", K.call, "state", "task", "kwargs", "fingerprint")
local state = call[1]
if not state and A.accepts_unregistered == "" then
  return {"unregistered"}
elseif call[4] and call[4] ~= "" and (call[2] ~= A.task or call[3] ~= A.sent_kwargs) then
  return {"differs", call[2], call[3]}
end
if state and state ~= "queued" and state ~= "waiting" then
  return {"kept", state}
end
if not state then
  redis.call("HSET", K.call, "task", A.task, "kwargs", A.kwargs, "door", A.origin, "at_ms", now)
end
redis.call("HSET", K.call, "state", "rejected", "answer", A.receipt)
redis.call("PEXPIRE", K.call, A.keep_ms)
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)

local key = redis.call("HMGET", K.key, "state", "call")
if key[2] == A.call and (key[1] == "queued" or key[1] == "waiting") then
  redis.call("HSET", K.key, "state", "rejected")
  redis.call("PEXPIRE", K.key, A.keep_ms)
  key[1] = "rejected"
end
receipt.at, receipt.event, receipt.call = now, "refused", A.call
append_event(K.history, cjson.encode(receipt))
if not key[1] or key[1] == "rejected" then
  redis.call("PEXPIRE", K.history, A.keep_ms)
end
redis.call("HINCRBY", K.metrics, "total_refused", 1)
redis.call("HINCRBY", K.metrics, "refused_" .. receipt.stage, 1)
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"rejected"}
