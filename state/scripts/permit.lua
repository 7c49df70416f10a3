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
--! include prelude now
local K = named({"provider", "refused_question"}, KEYS)
local A = named({"asker", "burst", "every_ms", "probe_ms", "keep_ms"}, ARGV)
local kept = redis.call("HMGET", K.provider, "not_before_ms", "open_until_ms", "probe", "probe_until_ms", "tat_ms", "why")
local not_before, open_until = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
local every, probe_until = tonumber(A.every_ms), tonumber(kept[4] or 0)

-- What was noted at a time to come was noted while the clock was ahead: it means as long from now as it meant then.
local function as_noted(due, due_field, noted_field)
  local noted = tonumber(redis.call("HGET", K.provider, noted_field) or 0)
  if noted > now then
    due = due - (noted - now)
    redis.call("HSET", K.provider, due_field, due, noted_field, now)
  end
  return due
end

-- No rule puts a time further ahead than this.
local function within(due, latest, field)
  if due > latest then
    redis.call("HSET", K.provider, field, latest)
    return latest
  end
  return due
end

not_before = as_noted(not_before, "not_before_ms", "paused_ms")
open_until = as_noted(open_until, "open_until_ms", "opened_ms")
probe_until = within(probe_until, now + A.probe_ms, "probe_until_ms")

local refused_ms = redis.call("PTTL", K.refused_question)
if refused_ms > 0 then
  return {"denied", "it refused this question before", refused_ms}
end
if now < not_before then
  return {"denied", "it asked for a pause", math.ceil(not_before - now)}
end
if now < open_until then
  return {"denied", "breaker open: " .. (kept[6] or "it failed"), math.ceil(open_until - now)}
end
if open_until > 0 and kept[3] and now < probe_until then
  return {"denied", "breaker is probing", math.ceil(probe_until - now)}
end
local tat = math.max(within(tonumber(kept[5] or 0), now + A.burst * every, "tat_ms"), now)
local opens = tat + every - A.burst * every
if now < opens then
  return {"denied", "our own rate is used up", math.ceil(opens - now)}
end

redis.call("HSET", K.provider, "tat_ms", tat + every)
if open_until > 0 then
  redis.call("HSET", K.provider, "probe", A.asker, "probe_until_ms", now + A.probe_ms)
end
redis.call("PEXPIRE", K.provider, A.keep_ms)
return {"permitted"}
