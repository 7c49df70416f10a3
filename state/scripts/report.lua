-- report: record how a provider answered a request that was permitted.
--
-- KEYS[1] -> provider   KEYS[2] -> refused question
-- ARGV[1] -> asker      ARGV[2] -> what happened: "ok" (it works)
--                       | "failed"  (it does not; enough of these in a row open the breaker)
--                       | "later"   (it wants not to be asked for a while, and is no failure)
--                       | "refused" (it works, but will never answer this question)
--                       | "barred"  (it lets us in no more: the breaker opens at once)
-- ARGV[3] -> failures in a row that open the breaker
-- ARGV[4] -> ms: how long it opens ("failed", "barred"), or the pause ("later"), or how long a question stays refused
-- ARGV[5] -> ms to keep the provider's record
-- ARGV[6] -> why, for who is denied later
--
-- Returns {"works"} | {"counted", failures} | {"opened", failures} | {"pauses"} | {"stays open"}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = redis.call("HMGET", KEYS[1], "open_until_ms", "probe", "not_before_ms")
local probing = kept[1] and kept[2] == ARGV[1]

local function open()
  redis.call("HDEL", KEYS[1], "probe", "probe_until_ms")
  redis.call("HSET", KEYS[1], "open_until_ms", now + ARGV[4], "opened_ms", now, "why", ARGV[6])
end

local function take_note()
  if ARGV[2] == "later" then
    local until_now = tonumber(redis.call("HGET", KEYS[1], "paused_ms") or 0) <= now and tonumber(kept[3] or 0) or 0
    redis.call("HSET", KEYS[1], "not_before_ms", math.max(now + ARGV[4], until_now), "paused_ms", now)
    if probing then
      redis.call("HDEL", KEYS[1], "probe", "probe_until_ms")
    end
    return {"pauses"}
  end
  if kept[1] and not probing then
    return {"stays open"} -- asked before it opened: the probe knows better
  end
  if ARGV[2] == "barred" then
    open()
    return {"opened", tonumber(redis.call("HGET", KEYS[1], "failures") or 0)}
  elseif ARGV[2] == "failed" then
    local failures = redis.call("HINCRBY", KEYS[1], "failures", 1)
    if probing or failures >= tonumber(ARGV[3]) then
      open()
      return {"opened", failures}
    end
    return {"counted", failures}
  end
  redis.call("HDEL", KEYS[1], "failures", "open_until_ms", "opened_ms", "probe", "probe_until_ms", "why")
  return {"works"}
end

if ARGV[2] == "refused" then
  redis.call("SET", KEYS[2], ARGV[6], "PX", ARGV[4])
end
local answer = take_note()
if redis.call("EXISTS", KEYS[1]) == 1 then
  redis.call("PEXPIRE", KEYS[1], ARGV[5])
end
return answer
