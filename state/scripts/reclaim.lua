-- reclaim: take a claim away from an owner that is dead or whose lease ended. Before the line the call is queued again;
-- after the line the outcome is unknown, and the key waits for a look-up or a person. Calls that keep killing workers
-- are held.
--
-- KEYS[1] -> key       KEYS[2] -> call      KEYS[3] -> waiting   KEYS[4] -> running   KEYS[5] -> held
-- KEYS[6] -> story     KEYS[7] -> head      KEYS[8] -> metrics   KEYS[9] -> ledger
-- KEYS[10..] -> the caps in which the key has a place
-- ARGV[1] -> key, as text   ARGV[2] -> call id   ARGV[3] -> owner   ARGV[4] -> fence
-- ARGV[5] -> "1" if the owner is proven dead, else its lease must have ended
-- ARGV[6] -> how many lost workers make a call poison; 0 if this one was asked to end, which is nobody's fault
-- ARGV[7] -> boot: this run of the machine   ARGV[8] -> ms since that boot
--
-- Returns {"kept"} | {"queued"} | {"unknown"} | {"held", why, "1" if the task has an effect}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence", "lease_ms", "verify", "epoch")
local state = key[1]
if (state ~= "claimed" and state ~= "sending") or key[2] ~= ARGV[3] or key[3] ~= ARGV[4]
  or (ARGV[5] ~= "1" and tonumber(key[4]) > now) then
  return {"kept"}
end
-- After a restart a claim may have been sending; the audit finds out.
local run = redis.call("HGET", KEYS[9], "run")
if key[6] and key[6] ~= "" and run ~= string.match(redis.call("INFO", "server"), "run_id:(%x+)") then
  return {"kept"}
end
local poison = tonumber(ARGV[6])
local lost = poison > 0 and redis.call("HINCRBY", KEYS[2], "lost", 1) or 0
local to, why = "queued", ARGV[5] == "1" and "its worker died" or "its lease ended"
if state == "sending" then
  to, why = "unknown", why .. " after the line, before an answer came"
elseif poison > 0 and lost >= poison then
  to, why = "held", why .. ", " .. lost .. " times: poison"
end
redis.call("HSET", KEYS[1], "state", to)
redis.call("HSET", KEYS[2], "state", to)
redis.call("HDEL", KEYS[1], "lease_ms")
redis.call("ZREM", KEYS[4], ARGV[1])
if state == "claimed" then
  for i = 10, #KEYS do
    redis.call("ZREM", KEYS[i], ARGV[1])
  end
  local started = tonumber(redis.call("HGET", KEYS[1], "started_ms"))
  tell_story(KEYS[6], cjson.encode({at = started, event = "claimed", owner = ARGV[3], fence = tonumber(ARGV[4])}))
end
tell_story(KEYS[6], cjson.encode({at = now, event = to, why = why, owner = ARGV[3], fence = tonumber(ARGV[4])}))
if to == "queued" then
  redis.call("ZADD", KEYS[3], now, ARGV[2])
  redis.call("HSET", KEYS[2], "paid_ms", redis.call("HGET", KEYS[1], "started_ms") or now) -- its slots of the rates
else
  redis.call("HSET", KEYS[1], "why", why, "since_ms", now)
  if to == "unknown" and ARGV[5] == "1" then
    redis.call("HSET", KEYS[1], "gone", ARGV[4], "gone:" .. ARGV[7] .. ":" .. ARGV[4], ARGV[8])
  end
  if to == "unknown" and key[5] then
    redis.call("ZADD", KEYS[3], now + cjson.decode(key[5]).every_ms, ARGV[2])
  end
  redis.call("HSET", KEYS[5], ARGV[1], cjson.encode({key = ARGV[1], state = to, since = now, why = why}))
  redis.call("HINCRBY", KEYS[8], "total_failed", 1)
end
redis.call("HINCRBY", KEYS[7], "revision", 1)
redis.call("HSET", KEYS[7], "updated_ms", now)
if to == "held" then
  return {to, why, key[6] and key[6] ~= "" and "1" or "0"}
end
return {to}
