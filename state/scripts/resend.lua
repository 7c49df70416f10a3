-- resend: decide whether the message of one call must be sent (again), and schedule the next check of the call.
--
-- Arguments:
--   call
--   grace_ms: ms before the next check; it doubles with each send
--   max_grace_ms: the longest such wait
-- Returns:
--   {"send", task, arguments (JSON), options (JSON) or ""}
--   {"not due"}
--   {"gone"}
--! include now
local K = named({"call", "queued", "waiting"}, KEYS)
local A = named({"call", "grace_ms", "max_grace_ms"}, ARGV)

local lost = redis.call("ZSCORE", K.queued, A.call)
local due = lost or redis.call("ZSCORE", K.waiting, A.call)
if not due or tonumber(due) > now then
  return {"not due"}
end
local call = fields(K.call, "task", "kwargs", "state", "options")
if not call.task or call.state == "done" or call.state == "rejected" or call.state == "cancelled" then
  redis.call("ZREM", K.queued, A.call)
  redis.call("ZREM", K.waiting, A.call)
  return {"gone"}
end
-- The last message of a waiting call was taken by a worker, so only messages that were lost since then count.
local sends = lost and redis.call("HINCRBY", K.call, "sends", 1) or 1
if not lost then
  redis.call("HSET", K.call, "sends", 1)
end
local pause = math.min(A.grace_ms * 2 ^ math.min(sends - 1, 20), A.max_grace_ms)
redis.call("ZREM", K.waiting, A.call)
redis.call("ZADD", K.queued, now + pause, A.call)
redis.call("HSET", K.call, "sent_ms", now)
if call.state == "waiting" then
  redis.call("HSET", K.call, "state", "queued")
end
return {"send", call.task, call.kwargs, call.options or ""}
