-- forbid: a person takes back a call that nobody registered yet, so that its message, if one comes, does not run.
--
-- KEYS[1] -> call
-- ARGV[1] -> by whom, or through what   ARGV[2] -> ms for which this is remembered
--
-- Returns {"forbidden"} | {"known"}      it was registered meanwhile, or forbidden before
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call("EXISTS", KEYS[1]) == 1 then
  return {"known"}
end
local receipt = cjson.encode({error = "cancelled", stage = "call", by = ARGV[1]})
redis.call("HSET", KEYS[1], "state", "cancelled", "answer", receipt, "at_ms", now)
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return {"forbidden"}
