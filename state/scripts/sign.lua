-- sign: record that a process is alive, or that it was asked to stop. Times are the server's; no safety rests on them.
--
-- Keys:
--   signs: process → its sign, JSON
--   format: the format of what Redis holds, as in state/redis_format.py
--   hosts: mark of a host → JSON, see state/processes/hosts.py
-- Arguments:
--   process: its kind, machine and pid
--   sign: what it reports about itself, JSON
--   state: "alive" | "stopped"
--   swept_ago_ms: ms since its last good sweep, -1 for a process that does not sweep
--   keep_ms: ms after which the sign of a silent process is deleted
--   own_format: that is in use; written if Redis has none, because it was emptied, or a lower one
--   max_signs: how many signs are kept at most
--   mark: of its host; host: what it reports about that, JSON, or "" for nothing this time
-- Returns:
--   {"kept", now, format of what Redis holds}
--! include now
local K = named({"signs", "format", "hosts"}, KEYS)
local A = named({
  "process", "sign", "state", "swept_ago_ms", "keep_ms", "own_format", "max_signs", "mark", "host"
}, ARGV)
local name = A.process

local sign = cjson.decode(A.sign)
local before = redis.call("HGET", K.signs, name)
local known = before and cjson.decode(before)
if known and known.token == sign.token then
  sign.since_ms = known.since_ms
else
  sign.since_ms = now
end
sign.seen_ms = now
sign.stopped = A.state == "stopped"
local swept = tonumber(A.swept_ago_ms)
if swept >= 0 then
  sign.swept_ms = now - swept
end
redis.call("HSET", K.signs, name, cjson.encode(sign))

if not known or redis.call("HLEN", K.signs) > tonumber(A.max_signs) then -- a new process: now and then, forget old ones
  local all, oldest = redis.call("HGETALL", K.signs), {}
  for i = 1, #all, 2 do
    local seen = cjson.decode(all[i + 1]).seen_ms
    if seen < now - tonumber(A.keep_ms) then
      redis.call("HDEL", K.signs, all[i])
    else
      oldest[#oldest + 1] = {seen, all[i]}
    end
  end
  table.sort(oldest, function(a, b) return a[1] < b[1] end)
  for i = 1, #oldest - tonumber(A.max_signs) do
    redis.call("HDEL", K.signs, oldest[i][2])
  end
end
if A.host ~= "" then
  --! include host
  sign_host(K.hosts, A.mark, A.host, A.keep_ms)
end
--! include format
return {"kept", now, raised_format(K.format, A.own_format)}
