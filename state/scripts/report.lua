-- report: record how a provider answered a request that was permitted.
--
-- Keys:
--   provider: the record of the provider
--   refused_question: exists while the provider refuses this very question
-- Arguments:
--   asker: as in permit.lua
--   outcome: "ok"   (it works)
--     | "failed"    (it does not; enough failures in a row open the breaker)
--     | "later"     (it asks for a pause; this does not count as a failure)
--     | "refused"   (it works, but will never answer this question)
--     | "barred"    (it does not accept our credentials any more: the breaker opens at once)
--   open_after: failures in a row that open the breaker
--   open_ms: how long it opens ("failed", "barred"), how long the pause is ("later"), or how long a question stays refused
--   keep_ms: how long the record of the provider is kept
--   reason: what a later caller is told that is denied
-- Returns:
--   {"works"}
--   {"counted", failures}
--   {"opened", failures}
--   {"pauses"}
--   {"stays open"}
--! include prelude now
local K = named({"provider", "refused_question"}, KEYS)
local A = named({"asker", "outcome", "open_after", "open_ms", "keep_ms", "reason"}, ARGV)
local kept = redis.call("HMGET", K.provider, "open_until_ms", "probe", "not_before_ms")
local probing = kept[1] and kept[2] == A.asker

local function open()
  redis.call("HDEL", K.provider, "probe", "probe_until_ms")
  redis.call("HSET", K.provider, "open_until_ms", now + A.open_ms, "opened_ms", now, "why", A.reason)
end

local function take_note()
  if A.outcome == "later" then
    local until_now = tonumber(redis.call("HGET", K.provider, "paused_ms") or 0) <= now and tonumber(kept[3] or 0) or 0
    redis.call("HSET", K.provider, "not_before_ms", math.max(now + A.open_ms, until_now), "paused_ms", now)
    if probing then
      redis.call("HDEL", K.provider, "probe", "probe_until_ms")
    end
    return {"pauses"}
  end
  if kept[1] and not probing then
    return {"stays open"} -- asked before it opened: the probe knows better
  end
  if A.outcome == "barred" then
    open()
    return {"opened", tonumber(redis.call("HGET", K.provider, "failures") or 0)}
  elseif A.outcome == "failed" then
    local failures = redis.call("HINCRBY", K.provider, "failures", 1)
    if probing or failures >= tonumber(A.open_after) then
      open()
      return {"opened", failures}
    end
    return {"counted", failures}
  end
  redis.call("HDEL", K.provider, "failures", "open_until_ms", "opened_ms", "probe", "probe_until_ms", "why")
  return {"works"}
end

if A.outcome == "refused" then
  redis.call("SET", K.refused_question, A.reason, "PX", A.open_ms)
end
local answer = take_note()
if redis.call("EXISTS", K.provider) == 1 then
  redis.call("PEXPIRE", K.provider, A.keep_ms)
end
return answer
