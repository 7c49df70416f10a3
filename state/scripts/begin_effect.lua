-- begin_effect: begin the effect: move the key from claimed to sending, if this attempt still holds the claim, the ledger is the
-- one it was claimed in, and the agent is not paused and may send this. The journal has the intent already.
-- The first payload of a key that may have been sent is kept for ever; a later attempt gets that payload back.
--
-- Arguments:
--   owner, fence: of the claim
--   payload: JSON
--   epoch: of the claim, or "" for a task without an effect
--   key
--   verify: how to prove that the effect did not happen, JSON {drain_ms, every_ms, absences}; "" if it cannot be looked up
--   mode: of the agent until a person chose one: "observe" | "ask" | "act"
--   brief: what the key keeps instead of these events if they are the first of their kind: ms since the claim and the
--     characters of the payload; or ""
--   events: of this attempt so far, JSON each
-- Returns:
--   {"sending", payload}
--   {"lost", state}
--   {"paused", the reason that stops this task (JSON)}
--   {"closed"}
--   {"mode", "observe" | "ask"}    the agent may not send this payload: it only tells of it, or asks a person first
--! include now history agent soundness
local K = named({"key", "agent_meta", "history", "call", "ledger"}, KEYS)
local A = named({"owner", "fence", "payload", "epoch", "key", "verify", "mode", "brief", "events..."}, ARGV)

local key = fields(K.key, "state", "owner", "fence", "payload", "settled", "caps", "proposal", "revision", "approved")
if key.owner ~= A.owner or key.fence ~= A.fence then
  return {"lost", key.state or "gone"}
elseif A.epoch ~= "" and not is_same_ledger(K.ledger, A.epoch) then
  return {"closed"} -- a restarted server may have fallen back to this claim, while another attempt holds the key
elseif key.state == "sending" then
  return {"sending", key.payload}
elseif key.state == "unknown" and key.settled ~= A.fence then
  return {"closed"} -- taken for sending after a restart of Redis, before this attempt began its effect
elseif key.state ~= "claimed" then
  return {"lost", key.state}
end
local pause, mode = unpack(redis.call("HMGET", K.agent_meta, "pause", "autonomy"))
if pause then
  --! include pause
  local reason = pause_of(pause, key.caps and cjson.decode(key.caps) or {})
  if reason then
    return {"paused", cjson.encode(reason)}
  end
end
local payload = key.payload or A.payload
mode = mode or A.mode
local is_approved = key.approved and key.approved == key.revision and key.proposal == payload
if mode ~= "act" and not (mode == "ask" and is_approved) then
  return {"mode", mode}
end
local written = {"state", "sending", "payload", payload}
local function write(name, value)
  written[#written + 1], written[#written + 2] = name, value
end
if not key.payload then
  write("frozen_by", A.fence) -- if this attempt proves that nothing happened, its payload is deleted
end
if A.verify ~= "" then
  write("verify", A.verify)
end
local is_brief = A.brief ~= "" and redis.call("EXISTS", K.history) == 0
if is_brief then
  write("line", A.brief)
end
redis.call("HSET", K.key, unpack(written))
redis.call("HSET", K.ledger, "sent:" .. A.key, A.fence)
redis.call("HSET", K.call, "state", "sending")
if not is_brief then
  append_events(K.key, K.history, unpack(A.events))
end
count_change(K.agent_meta)
return {"sending", payload}
