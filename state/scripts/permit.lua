-- permit: decide whether a provider may be asked one question now. A denial leaves nothing taken.
--
-- KEYS[1] -> provider   KEYS[2] -> refused question
-- ARGV[1] -> asker, unique per request
-- ARGV[2] -> burst of the rate          ARGV[3] -> ms between two requests, evenly
-- ARGV[4] -> ms after which a probe that nobody reported counts as lost
-- ARGV[5] -> ms to keep the provider's record
--
-- Returns {"permitted"} | {"denied", why, ms until it may be asked}
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = redis.call("HMGET", KEYS[1], "not_before_ms", "open_until_ms", "probe", "probe_until_ms", "tat_ms", "why")
local not_before, open_until = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
local every, probe_until = tonumber(ARGV[3]), tonumber(kept[4] or 0)

-- What was noted at a time to come was noted while the clock was ahead: it means as long from now as it meant then.
local function as_noted(due, due_field, noted_field)
  local noted = tonumber(redis.call("HGET", KEYS[1], noted_field) or 0)
  if noted > now then
    due = due - (noted - now)
    redis.call("HSET", KEYS[1], due_field, due, noted_field, now)
  end
  return due
end

-- No rule puts a time further ahead than this.
local function within(due, latest, field)
  if due > latest then
    redis.call("HSET", KEYS[1], field, latest)
    return latest
  end
  return due
end

not_before = as_noted(not_before, "not_before_ms", "paused_ms")
open_until = as_noted(open_until, "open_until_ms", "opened_ms")
probe_until = within(probe_until, now + ARGV[4], "probe_until_ms")

local refused_ms = redis.call("PTTL", KEYS[2])
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
local tat = math.max(within(tonumber(kept[5] or 0), now + ARGV[2] * every, "tat_ms"), now)
local opens = tat + every - ARGV[2] * every
if now < opens then
  return {"denied", "our own rate is used up", math.ceil(opens - now)}
end

redis.call("HSET", KEYS[1], "tat_ms", tat + every)
if open_until > 0 then
  redis.call("HSET", KEYS[1], "probe", ARGV[1], "probe_until_ms", now + ARGV[4])
end
redis.call("PEXPIRE", KEYS[1], ARGV[5])
return {"permitted"}
