-- reconcile: record what a look-up at the provider said of an effect whose outcome is unknown. An absence is proof only if
-- the owner cannot send any more (it is dead, or ended the attempt itself), if requests under way have had the time to
-- arrive, and if enough look-ups say so, with pauses between them. Then the call is sent again.
-- These times are measured since a boot, by the machine that looks: setting a clock changes nothing.
--
-- Arguments:
--   key, call, owner, fence: of the attempt in doubt
--   answer: "absent"
--     | "failed"     (the provider gave no answer to trust)
--     | "away"       (the provider said that it cannot answer now; this does not use up a look-up)
--   owner_is_dead: "1" if the owner was proven dead before the look-up began, on this host
--   knew_death: "1" if Redis knew before it began that the owner can send nothing any more
--   boot: the boot of the machine that looked; boot_ms: ms since that boot, when the look-up began
--   max_lookups: look-ups after which a person is asked
--   max_resends: how often a call may be sent again because it was proven absent
--   away_ms: ms for which the provider asked not to be queried
--   events: of the look-up, JSON each
-- Returns:
--   {"kept", state}
--   {"unknown", ms until the next look-up}
--   {"waiting"}
--   {"held", reason}
--! include now history agent hold
local K = named({"key", "call", "waiting", "held", "waits", "history", "agent_meta", "ledger"}, KEYS)
local A = named({
  "key", "call", "owner", "fence", "answer", "owner_is_dead", "knew_death", "boot", "boot_ms", "max_lookups", "max_resends",
  "away_ms", "events..."
}, ARGV)

local GONE, ABSENT = "gone:" .. A.boot .. ":" .. A.fence, "absent:" .. A.boot .. ":" .. A.fence
local key = fields(K.key, "state", "owner", "fence", "verify", "gone", "since_ms")
if key.state ~= "unknown" or key.owner ~= A.owner or key.fence ~= A.fence or not key.verify then
  return {"kept", key.state or "gone"}
end
local verify, began = cjson.decode(key.verify), tonumber(A.boot_ms)
local gone, absent = tonumber(redis.call("HGET", K.key, GONE)), tonumber(redis.call("HGET", K.key, ABSENT))
local is_reported = key.gone == A.fence
if not gone and (A.owner_is_dead == "1" or (is_reported and A.knew_death == "1")) then
  gone = began -- a look-up that began before the death was known may have begun before the death
  redis.call("HSET", K.key, "gone", A.fence, GONE, gone)
end
append_events(K.key, K.history, unpack(A.events))
local lookups = redis.call("HINCRBY", K.key, "looks", A.answer == "away" and 0 or 1)

local function tell(event, told)
  told.at, told.event, told.fence = now, event, tonumber(A.fence)
  append_event(K.key, K.history, told)
  count_change(K.agent_meta)
end

local function count_absences()
  local spaced = not absent or began >= absent + verify.every_ms
  if A.answer ~= "absent" or not gone or began < gone + verify.drain_ms or not spaced then
    return 0
  end
  redis.call("HSET", K.key, ABSENT, began)
  return redis.call("HINCRBY", K.key, "absences", 1)
end

local function move(to)
  redis.call("HSET", K.key, "state", to)
  redis.call("HSET", K.call, "state", to)
end

local function send_again(absences)
  move("waiting")
  redis.call("HSET", K.call, "again", 1)
  redis.call("ZADD", K.waiting, now, A.call)
  redis.call("HDEL", K.held, A.key)
  redis.call("ZREM", K.waits, A.key)
  redis.call("HDEL", K.ledger, "sent:" .. A.key)
  redis.call("HDEL", K.key, "why", "since_ms", "gone", GONE, "absences", ABSENT, "looks", "lease_ms")
  tell("waiting", {why = "proven absent", absences = absences, drain = verify.drain_ms / 1000})
  return {"waiting"}
end

local function hold(why)
  move("held")
  redis.call("ZREM", K.waiting, A.call)
  redis.call("HSET", K.key, "why", why)
  list_held(K.held, K.waits, A.key, "held", tonumber(key.since_ms), why)
  tell("held", {why = why})
  return {"held", why}
end

local function look_again(absences)
  local pause = verify.every_ms * math.min(2 ^ math.max(lookups - 1, 0), 10) -- slower and slower: its owner may come back
  if gone then
    pause = math.max(verify.every_ms, gone + verify.drain_ms - began)
  elseif is_reported then
    pause = verify.every_ms
  end
  pause = math.max(pause, tonumber(A.away_ms))
  redis.call("ZADD", K.waiting, now + pause, A.call)
  tell("unknown", {absences = absences, needed = verify.absences, owner_gone = gone ~= nil, next_look = pause / 1000})
  return {"unknown", pause}
end

local absences = count_absences()
if absences >= verify.absences then
  if redis.call("HINCRBY", K.key, "proofs", 1) > tonumber(A.max_resends) then
    return hold("sent " .. A.max_resends .. " times more after it was proven absent, and in doubt again")
  end
  return send_again(absences)
elseif lookups >= tonumber(A.max_lookups) then
  return hold(lookups .. " look-ups, and no proof either way")
end
return look_again(absences)
