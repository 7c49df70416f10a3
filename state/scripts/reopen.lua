-- reopen: allow effects again, if Redis is still the server that was checked or filled, and lost nothing since.
--
-- Arguments:
--   token: of the recovery at work, or "" after a mere check
--   server_run_id: of the server when the work began
--   epoch: the new one; previous_epoch: the one that Redis must still have, or ""
--   fence: the lowest one from which to count on
-- Returns:
--   {"open"}
--   {"lost"}
local K = named({"ledger"}, KEYS)
local A = named({"token", "server_run_id", "epoch", "fence", "previous_epoch"}, ARGV)

local ledger = fields(K.ledger, "recovering", "fence", "closed", "epoch")
local run = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
if run ~= A.server_run_id or (ledger.recovering or "") ~= A.token or (A.token == "" and ledger.closed)
  or (ledger.epoch or "") ~= A.previous_epoch then
  return {"lost"}
end
local fence = math.max(tonumber(ledger.fence or 0), tonumber(A.fence))
redis.call("HSET", K.ledger, "epoch", A.epoch, "run", run, "fence", fence)
redis.call("HDEL", K.ledger, "closed", "recovering")
return {"open"}
