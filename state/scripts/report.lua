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
--! include now breaker
local K = named({"provider", "refused_question"}, KEYS)
local A = named({"asker", "outcome", "open_after", "open_ms", "keep_ms", "reason"}, ARGV)

local provider = fields(K.provider, "open_until_ms", "probe", "not_before_ms", "paused_ms", "failures")
local is_probe = provider.open_until_ms and provider.probe == A.asker

local function note_opening()
  redis.call("HSET", K.provider, "opened_ms", now, "why", A.reason)
end

local function pause()
  local is_in_force = tonumber(provider.paused_ms or 0) <= now -- one from the future was noted while the clock was ahead
  local earlier = is_in_force and tonumber(provider.not_before_ms or 0) or 0
  redis.call("HSET", K.provider, "not_before_ms", math.max(now + A.open_ms, earlier), "paused_ms", now)
  if is_probe then
    end_probe(K.provider)
  end
  return {"pauses"}
end

local function record()
  if A.outcome == "later" then
    return pause()
  elseif provider.open_until_ms and not is_probe then
    return {"stays open"} -- asked before the breaker opened: the probe decides
  elseif A.outcome == "barred" then
    open_breaker(K.provider, now + A.open_ms)
    note_opening()
    return {"opened", tonumber(provider.failures or 0)}
  elseif A.outcome == "failed" then
    local failures, opened = count_failure(K.provider, is_probe, tonumber(A.open_after), now + A.open_ms)
    if not opened then
      redis.call("HSET", K.provider, "why", A.reason)
      return {"counted", failures}
    end
    note_opening()
    return {"opened", failures}
  end
  redis.call("HDEL", K.provider, "failures", "open_until_ms", "opened_ms", "probe", "probe_until_ms", "why")
  return {"works"}
end

if A.outcome == "refused" then
  redis.call("SET", K.refused_question, A.reason, "PX", A.open_ms)
end
local answer = record()
if redis.call("EXISTS", K.provider) == 1 then
  redis.call("PEXPIRE", K.provider, A.keep_ms)
end
return answer
