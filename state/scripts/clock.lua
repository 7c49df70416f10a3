-- clock: detect that the server's clock was set back since the last call. Only one caller is told, and repairs the stored times.
--
-- Arguments:
--   tolerance_ms: by how much the clock may be behind the newest time seen
-- Returns:
--   {"goes on", now}
--   {"set back", now, ms by which}
--! include now
local K = named({"agent_meta"}, KEYS)
local A = named({"tolerance_ms"}, ARGV)

local stored = fields(K.agent_meta, "clock_ms", "updated_ms")
local seen = math.max(tonumber(stored.clock_ms or 0), tonumber(stored.updated_ms or 0))
redis.call("HSET", K.agent_meta, "clock_ms", now)
if seen - now <= tonumber(A.tolerance_ms) then
  return {"goes on", now}
end
for _, field in ipairs(redis.call("HKEYS", K.agent_meta)) do
  local is_time = field == "updated_ms" or field == "last_run_ms" or string.sub(field, 1, 10) == "arrived_ms"
  if is_time and tonumber(redis.call("HGET", K.agent_meta, field)) > now then
    redis.call("HSET", K.agent_meta, field, now)
  end
end
return {"set back", now, seen - now}
