-- resend: decide whether the message of one call must be sent (again), and book the next look at it.
--
-- KEYS[1] -> call      KEYS[2] -> queued    KEYS[3] -> waiting
-- ARGV[1] -> call id   ARGV[2] -> grace: ms before the next look   ARGV[3] -> longest such wait, ms
--
-- Returns {"send", task, arguments JSON, options JSON or ""} | {"not due"} | {"gone"}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lost = redis.call("ZSCORE", KEYS[2], ARGV[1])
local due = lost or redis.call("ZSCORE", KEYS[3], ARGV[1])
if not due or tonumber(due) > now then
  return {"not due"}
end
local call = redis.call("HMGET", KEYS[1], "task", "kwargs", "state", "options")
if not call[1] or call[3] == "done" or call[3] == "rejected" or call[3] == "cancelled" then
  redis.call("ZREM", KEYS[2], ARGV[1])
  redis.call("ZREM", KEYS[3], ARGV[1])
  return {"gone"}
end
-- Whose time has come had its last message taken, so only messages that were lost since then count.
local sends = lost and redis.call("HINCRBY", KEYS[1], "sends", 1) or 1
if not lost then
  redis.call("HSET", KEYS[1], "sends", 1)
end
local pause = math.min(ARGV[2] * 2 ^ math.min(sends - 1, 20), ARGV[3])
redis.call("ZREM", KEYS[3], ARGV[1])
redis.call("ZADD", KEYS[2], now + pause, ARGV[1])
redis.call("HSET", KEYS[1], "sent_ms", now)
if call[3] == "waiting" or call[3] == "queued" then
  redis.call("HSET", KEYS[1], "state", "queued")
end
return {"send", call[1], call[2], call[4] or ""}
