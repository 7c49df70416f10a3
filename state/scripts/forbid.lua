-- forbid: cancel an id that is not registered yet, so that its message does not run if it arrives.
--
-- Arguments:
--   by: the person, or the program through which the person asked
--   keep_ms: how long this is remembered
-- Returns:
--   {"forbidden"}
--   {"known"}        the call was registered meanwhile, or forbidden before
--! include now
local K = named({"call"}, KEYS)
local A = named({"by", "keep_ms"}, ARGV)
if redis.call("EXISTS", K.call) == 1 then
  return {"known"}
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = A.by})
redis.call("HSET", K.call, "state", "cancelled", "answer", receipt, "at_ms", now)
redis.call("PEXPIRE", K.call, A.keep_ms)
return {"forbidden"}
