-- permit: decide whether a provider may be asked one question now. A denial takes nothing.
--
-- Keys:
--   provider: the record of the provider
--   refused_question: exists while the provider refuses this very question
-- Arguments:
--   asker: unique per request
--   burst: how many requests may come at once
--   every_ms: ms between two requests at the steady rate
--   probe_ms: ms after which a probe without a report counts as lost
--   keep_ms: how long the record of the provider is kept
-- Returns:
--   {"permitted"}
--   {"denied", reason, ms until it may be asked}
--! include now gcra breaker
local K = named({"provider", "refused_question"}, KEYS)
local A = named({"asker", "burst", "every_ms", "probe_ms", "keep_ms"}, ARGV)

local provider = fields(K.provider, "not_before_ms", "open_until_ms", "probe", "probe_until_ms", "tat_ms", "why")
local burst, every = tonumber(A.burst), tonumber(A.every_ms)

-- A time that was noted in the future was noted while the clock was ahead: it lies as far from now as it lay from then.
local function as_noted(due, due_field, noted_field)
  local noted = tonumber(redis.call("HGET", K.provider, noted_field) or 0)
  if noted > now then
    due = due - (noted - now)
    redis.call("HSET", K.provider, due_field, due, noted_field, now)
  end
  return due
end

local not_before = as_noted(tonumber(provider.not_before_ms or 0), "not_before_ms", "paused_ms")
local open_until = as_noted(tonumber(provider.open_until_ms or 0), "open_until_ms", "opened_ms")
local probe_until = clamp(K.provider, "probe_until_ms", tonumber(provider.probe_until_ms or 0), now + A.probe_ms)

local refused_ms = redis.call("PTTL", K.refused_question)
if refused_ms > 0 then
  return {"denied", "it refused this question before", refused_ms}
end
if now < not_before then
  return {"denied", "it asked for a pause", math.ceil(not_before - now)}
end
if open_until > 0 then
  local why, due = breaker_blocks(open_until, provider.probe, probe_until, A.asker)
  if why then
    local reason = why == "breaker open" and ": " .. (provider.why or "it failed") or ""
    return {"denied", why .. reason, math.ceil(due - now)}
  end
end
local arrival = gcra_arrival(K.provider, provider.tat_ms, burst, every)
local opens = gcra_opens(arrival, burst, every)
if now < opens then
  return {"denied", "our own rate is used up", math.ceil(opens - now)}
end

redis.call("HSET", K.provider, "tat_ms", arrival + every)
if open_until > 0 then
  begin_probe(K.provider, A.asker, now + A.probe_ms)
end
redis.call("PEXPIRE", K.provider, A.keep_ms)
return {"permitted"}
