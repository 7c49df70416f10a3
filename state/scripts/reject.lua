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
--! include now history agent
local K = named({"call", "key", "queued", "waiting", "history", "agent_meta", "metrics"}, KEYS)
local A = named({"call", "task", "kwargs", "origin", "receipt", "keep_ms", "sent_kwargs", "accepts_unregistered"}, ARGV)
local receipt = cjson.decode(A.receipt)

local call = fields(K.call, "state", "task", "kwargs", "fingerprint")
if not call.state and A.accepts_unregistered == "" then
  return {"unregistered"}
elseif call.fingerprint and call.fingerprint ~= "" and (call.task ~= A.task or call.kwargs ~= A.sent_kwargs) then
  return {"differs", call.task, call.kwargs}
elseif call.state and call.state ~= "queued" and call.state ~= "waiting" then
  return {"kept", call.state}
elseif not call.state then
  redis.call("HSET", K.call, "task", A.task, "kwargs", A.kwargs, "door", A.origin, "at_ms", now)
end
redis.call("HSET", K.call, "state", "rejected", "answer", A.receipt)
redis.call("PEXPIRE", K.call, A.keep_ms)
redis.call("ZREM", K.queued, A.call)
redis.call("ZREM", K.waiting, A.call)

local key = fields(K.key, "state", "call")
if key.call == A.call and (key.state == "queued" or key.state == "waiting") then
  redis.call("HSET", K.key, "state", "rejected")
  redis.call("PEXPIRE", K.key, A.keep_ms)
  key.state = "rejected"
end
receipt.at, receipt.event, receipt.call = now, "refused", A.call
append_event(K.key, K.history, receipt)
if not key.state or key.state == "rejected" then
  redis.call("PEXPIRE", K.history, A.keep_ms)
end
redis.call("HINCRBY", K.metrics, "total_refused", 1)
redis.call("HINCRBY", K.metrics, "refused_" .. receipt.stage, 1)
redis.call("HINCRBY", K.metrics, "refused_" .. receipt.stage .. " " .. A.task, 1)
count_change(K.agent_meta)
return {"rejected"}
