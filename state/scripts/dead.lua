-- dead: record that the process of an attempt in doubt is dead, as its own host saw, or as a person says of its host.
-- It is looked up soon, if its task can; what was held because no look-up proved anything is looked up anew.
--
-- Arguments:
--   key, call, owner, fence: of the attempt in doubt
--   why: who says so, for the history
-- Returns:
--   {"noted", state}
--   {"kept", state}: the key is not in doubt any more, belongs to another attempt, or this is known
--! include now history agent hold
local K = named({"key", "call", "waiting", "held", "waits", "history", "agent_meta"}, KEYS)
local A = named({"key", "call", "owner", "fence", "why"}, ARGV)

local key = fields(K.key, "state", "owner", "fence", "gone", "verify", "looks", "since_ms", "why")
local was_looked_up = key.state == "held" and tonumber(key.looks or 0) > 0
if not (key.state == "unknown" or was_looked_up) or key.owner ~= A.owner or key.fence ~= A.fence or key.gone == A.fence then
  return {"kept", key.state or "gone"}
end
redis.call("HSET", K.key, "gone", A.fence)
local can_look = key.verify and redis.call("EXISTS", K.call) == 1
local state = can_look and "unknown" or key.state
if can_look then
  if was_looked_up then
    redis.call("HSET", K.key, "state", state)
    redis.call("HSET", K.call, "state", state)
    redis.call("HDEL", K.key, "looks")
    list_held(K.held, K.waits, A.key, state, tonumber(key.since_ms), key.why)
  end
  redis.call("ZADD", K.waiting, now, A.call)
end
append_event(K.key, K.history, {
  at = now, event = state, why = A.why, owner = A.owner, fence = tonumber(A.fence), owner_gone = true,
  next_look = can_look and 0 or nil,
})
count_change(K.agent_meta)
return {"noted", state}
