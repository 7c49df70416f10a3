-- reclaim: take a claim from an owner that is dead or whose lease ended. Before the effect the call is queued again; after
-- it began the outcome is unknown, and the key waits for a look-up or a person. A call that keeps losing workers is held.
--
-- Keys:
--   caps: the caps in which the key has a place
-- Arguments:
--   key, call, owner, fence: of the claim
--   owner_is_dead: "1" if the owner is proven dead; otherwise its lease must have ended
--   poison_after: how many lost workers make a call poison; 0 if this worker was asked to stop, which does not count
--   boot: this boot of the machine; boot_ms: ms since that boot
-- Returns:
--   {"kept"}
--   {"queued"}
--   {"unknown"}
--   {"held", reason, "1" if the task has an effect}
--! include now history agent hold caps soundness
local K = named({
  "key", "call", "waiting", "running", "held", "waits", "history", "agent_meta", "metrics", "ledger", "caps..."
}, KEYS)
local A = named({"key", "call", "owner", "fence", "owner_is_dead", "poison_after", "boot", "boot_ms"}, ARGV)

local key = fields(K.key, "state", "owner", "fence", "lease_ms", "started_ms", "verify", "epoch", "task")
local state = key.state
if (state ~= "claimed" and state ~= "sending") or key.owner ~= A.owner or key.fence ~= A.fence
  or (A.owner_is_dead ~= "1" and tonumber(key.lease_ms) > now) then
  return {"kept"}
end
local has_effect = key.epoch and key.epoch ~= ""
if has_effect and not is_this_server(redis.call("HGET", K.ledger, "run")) then
  return {"kept"} -- after a restart a claim may have been sending; the comparison with the journal finds out
end
local poison = tonumber(A.poison_after)
local lost = poison > 0 and redis.call("HINCRBY", K.call, "lost", 1) or 0
local to, why = "queued", A.owner_is_dead == "1" and "its worker died" or "its lease ended"
if state == "sending" then
  to, why = "unknown", why .. " after its effect began, before a response came"
elseif poison > 0 and lost >= poison then
  to, why = "held", why .. ", " .. lost .. " times: poison"
end
redis.call("HSET", K.key, "state", to)
redis.call("HSET", K.call, "state", to)
redis.call("HDEL", K.key, "lease_ms")
redis.call("ZREM", K.running, A.key)
local fence = tonumber(A.fence)
if state == "claimed" then
  free_places(K.caps, A.key)
  append_event(K.key, K.history, {at = tonumber(key.started_ms), event = "claimed", owner = A.owner, fence = fence})
end
append_event(K.key, K.history, {at = now, event = to, why = why, owner = A.owner, fence = fence})
if to == "queued" then
  redis.call("ZADD", K.waiting, now, A.call)
  redis.call("HSET", K.call, "paid_ms", key.started_ms or now) -- its slots of the rates
else
  redis.call("HSET", K.key, "why", why, "since_ms", now)
  if to == "unknown" and A.owner_is_dead == "1" then
    redis.call("HSET", K.key, "gone", A.fence, "gone:" .. A.boot .. ":" .. A.fence, A.boot_ms)
  end
  if to == "unknown" and key.verify then
    redis.call("ZADD", K.waiting, now + cjson.decode(key.verify).every_ms, A.call)
  end
  list_held(K.held, K.waits, A.key, to, now, why)
  redis.call("HINCRBY", K.metrics, "total_failed", 1)
end
redis.call("HINCRBY", K.metrics, "lost " .. (key.task or ""), 1)
count_change(K.agent_meta)
if to == "held" then
  return {to, why, has_effect and "1" or "0"}
end
return {to}
