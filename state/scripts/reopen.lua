-- reopen: let effects happen again, if Redis is still the server that was checked, or filled, and lost nothing since.
--
-- KEYS[1] -> ledger
-- ARGV[1] -> token of the recovery at work, or "" after a mere check
-- ARGV[2] -> run id of the server when the work began
-- ARGV[3] -> epoch     ARGV[4] -> lowest fence from which to count on
-- ARGV[5] -> epoch that Redis must have had until now, or ""
--
-- Returns {"open"} | {"lost"}
local ledger = redis.call("HMGET", KEYS[1], "recovering", "fence", "closed", "epoch")
local run = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
if run ~= ARGV[2] or (ledger[1] or "") ~= ARGV[1] or (ARGV[1] == "" and ledger[3])
  or (ledger[4] or "") ~= ARGV[5] then
  return {"lost"}
end
redis.call("HSET", KEYS[1], "epoch", ARGV[3], "run", run, "fence", math.max(tonumber(ledger[2] or 0), tonumber(ARGV[4])))
redis.call("HDEL", KEYS[1], "closed", "recovering")
return {"open"}
