"""The script with which a worker acknowledges messages and takes the next ones, in one round trip."""

from __future__ import annotations

#: Messages that one script takes.
MAX_TAKEN = 100

#: Acknowledge, then take messages and note each as unacknowledged, as kombu would: a JSON list of the message, its exchange
#: and its queue. An answer that is lost costs no message: it is delivered again later.
TAKE = """
local acked = tonumber(ARGV[4])
if acked > 0 then
  redis.call("ZREM", KEYS[2], unpack(ARGV, 5, 4 + acked))
  redis.call("HDEL", KEYS[1], unpack(ARGV, 5, 4 + acked))
end
local taken, count, left = {}, 0, tonumber(ARGV[3])
for queue = 3, #KEYS do
  for _, item in ipairs(left > count and redis.call("RPOP", KEYS[queue], left - count) or {}) do
    local tag = ARGV[2] .. count
    redis.call("ZADD", KEYS[2], ARGV[1], tag)
    redis.call("HSET", KEYS[1], tag, "[" .. item .. ',"",' .. ARGV[4 + acked + queue - 2] .. "]")
    count = count + 1
    taken[2 * count - 1], taken[2 * count] = queue - 3, item
  end
end
return taken
"""
