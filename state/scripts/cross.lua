-- cross: step over the line, from claimed to sending, if this attempt still holds the claim, the ledger is the one it was
-- claimed in, and nobody paused the agent. The intent is in the journal by now.
-- The first payload of a key that may have been sent is kept for ever; a later attempt gets that one back.
--
-- KEYS[1] -> key       KEYS[2] -> head      KEYS[3] -> story     KEYS[4] -> call      KEYS[5] -> ledger
-- ARGV[1] -> owner     ARGV[2] -> fence     ARGV[3] -> payload, JSON
-- ARGV[4] -> epoch     ARGV[5] -> key, as text
-- ARGV[6] -> how to prove that the effect did not happen, JSON: {drain_ms, every_ms, absences}; or "" if nobody can ask
-- ARGV[7..] -> events of this attempt so far, JSON
--
-- Returns {"sending", payload} | {"lost", state} | {"paused", pause, JSON} | {"closed"}
-- include story.lua.inc
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local key = redis.call("HMGET", KEYS[1], "state", "owner", "fence", "payload", "settled")

-- A server that was started anew may have fallen back to this claim from a time when another held the key.
local function is_sound()
  local ledger = redis.call("HMGET", KEYS[5], "epoch", "run", "closed")
  return ledger[1] == ARGV[4] and not ledger[3]
    and ledger[2] == string.match(redis.call("INFO", "server"), "run_id:(%x+)")
end

if key[2] ~= ARGV[1] or key[3] ~= ARGV[2] then
  return {"lost", key[1] or "gone"}
elseif ARGV[4] ~= "" and not is_sound() then
  return {"closed"}
elseif key[1] == "sending" then
  return {"sending", key[4]}
elseif key[1] == "unknown" and key[5] ~= ARGV[2] then
  return {"closed"} -- taken for sending after a restart of Redis; its owner knows better
elseif key[1] ~= "claimed" then
  return {"lost", key[1]}
end
local pause = redis.call("HGET", KEYS[2], "pause")
if pause then
  return {"paused", pause}
end
redis.call("HSET", KEYS[1], "state", "sending", "payload", key[4] or ARGV[3])
if not key[4] then
  redis.call("HSET", KEYS[1], "frozen_by", ARGV[2]) -- if this attempt proves that nothing happened, nobody needs its text
end
if ARGV[6] ~= "" then
  redis.call("HSET", KEYS[1], "verify", ARGV[6])
end
redis.call("HSET", KEYS[5], "sent:" .. ARGV[5], ARGV[2])
redis.call("HSET", KEYS[4], "state", "sending")
tell_story(KEYS[3], unpack(ARGV, 7))
redis.call("HINCRBY", KEYS[2], "revision", 1)
redis.call("HSET", KEYS[2], "updated_ms", now)
return {"sending", key[4] or ARGV[3]}
