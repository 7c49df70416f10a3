-- begin_effect: begin the effect: move the key from claimed to sending, if this attempt still holds the claim, the ledger is the
-- one it was claimed in, and the agent is not paused. The journal has the intent already.
-- The first payload of a key that may have been sent is kept for ever; a later attempt gets that payload back.
--
-- Arguments:
--   owner, fence: of the claim
--   payload: JSON
--   epoch: of the claim, or "" for a task without an effect
--   key
--   verify: how to prove that the effect did not happen, JSON {drain_ms, every_ms, absences}; "" if it cannot be looked up
--   events: of this attempt so far, JSON each
-- Returns:
--   {"sending", payload}
--   {"lost", state}
--   {"paused", pause (JSON)}
--   {"closed"}
--! include prelude now history
local K = named({"key", "agent_meta", "history", "call", "ledger"}, KEYS)
local A = named({"owner", "fence", "payload", "epoch", "key", "verify", "events..."}, ARGV)
local key = redis.call("HMGET", K.key, "state", "owner", "fence", "payload", "settled")

-- A server that was started anew may have fallen back to this claim from a time when another held the key.
local function is_sound()
  local ledger = redis.call("HMGET", K.ledger, "epoch", "run", "closed")
  return ledger[1] == A.epoch and not ledger[3]
    and ledger[2] == string.match(redis.call("INFO", "server"), "run_id:(%x+)")
end

if key[2] ~= A.owner or key[3] ~= A.fence then
  return {"lost", key[1] or "gone"}
elseif A.epoch ~= "" and not is_sound() then
  return {"closed"}
elseif key[1] == "sending" then
  return {"sending", key[4]}
elseif key[1] == "unknown" and key[5] ~= A.fence then
  return {"closed"} -- taken for sending after a restart of Redis; its owner knows better
elseif key[1] ~= "claimed" then
  return {"lost", key[1]}
end
local pause = redis.call("HGET", K.agent_meta, "pause")
if pause then
  return {"paused", pause}
end
redis.call("HSET", K.key, "state", "sending", "payload", key[4] or A.payload)
if not key[4] then
  redis.call("HSET", K.key, "frozen_by", A.fence) -- if this attempt proves that nothing happened, nobody needs its text
end
if A.verify ~= "" then
  redis.call("HSET", K.key, "verify", A.verify)
end
redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
redis.call("HSET", K.call, "state", "sending")
append_event(K.history, unpack(A.events))
redis.call("HINCRBY", K.agent_meta, "revision", 1)
redis.call("HSET", K.agent_meta, "updated_ms", now)
return {"sending", key[4] or A.payload}
