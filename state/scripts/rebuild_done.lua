-- rebuild_done: write keys that are done into a ledger that lost everything, many at a time; of any other ledger
-- rebuild.lua writes one key at a time.
--
-- Keys:
--   names: of each key in turn: its own, that of its call and that of its history
-- Arguments:
--   token: of the recovery that fills an empty Redis
--   keep_ms: how long a call that ended is kept
--   entries: of each key in turn: key, call, fence, reason, task, kwargs, fingerprint, origin, ended_ms, is_followed,
--     call_fields, how many items key_fields has, and these items; all as rebuild.lua takes them
-- Returns:
--   {"rebuilt", name...}  the keys that were left out, because Redis has them
--   {"listed"}            nothing was written, because a list may have some of the keys
--   {"lost"}              Redis lost data again since the recovery began
--! include now rebuilt
local K = named({
  "held", "waits", "asks", "expiring", "running", "waiting", "dead", "ledger", "agent_meta", "followed", "names..."
}, KEYS)
local A = named({"token", "keep_ms", "entries..."}, ARGV)

if redis.call("HGET", K.ledger, "recovering") ~= A.token then
  return {"lost"}
end
if redis.call("EXISTS", K.held, K.waits, K.asks, K.expiring, K.running, K.waiting, K.dead) > 0 then
  return {"listed"}
end

local left, sent, written, at = {}, {}, 0, 0
for number = 1, #K.names, 3 do
  local key, call, history = K.names[number], K.names[number + 1], K.names[number + 2]
  local name, id, fence, reason, task, kwargs, fingerprint, origin, ended_ms, is_followed, call_fields, size =
    unpack(A.entries, at + 1, at + 12)
  local first, last = at + 13, at + 12 + size
  if redis.call("EXISTS", key) == 1 then
    table.insert(left, name)
  else
    store_key(key, "done", id, task, fingerprint, fence, "done_ms", ended_ms, unpack(A.entries, first, last))
    store_call(call, "done", task, name, kwargs, fingerprint, origin, fields_of_call(call_fields))
    redis.call("PEXPIRE", call, A.keep_ms)
    if is_followed == "1" then
      redis.call("ZADD", K.followed, now, id)
    end
    for item = first, last, 2 do
      if A.entries[item] == "payload" then
        table.insert(sent, "sent:" .. name)
        table.insert(sent, fence)
      end
    end
    redis.call("RPUSH", history, cjson.encode(rebuilt_event("done", reason, nil, id)))
    written = written + 1
  end
  at = last
end
if written > 0 then
  redis.call("HINCRBY", K.agent_meta, "revision", written) -- a recovery writes the time at its end
end
if #sent > 0 then
  redis.call("HSET", K.ledger, unpack(sent))
end
return {"rebuilt", unpack(left)}
