-- reopen: let effects happen again, if Redis is still the server that was checked, or filled, and lost nothing since.
--
-- KEYS[1] -> ledger
-- ARGV[1] -> token of the recovery at work, or "" after a mere check
-- ARGV[2] -> run id of the server when the work began
-- ARGV[3] -> epoch     ARGV[4] -> lowest fence from which to count on
-- ARGV[5] -> epoch that Redis must have had until now, or ""
--
-- Returns {"open"} | {"lost"}
local KEPT_EPOCHS = 20
local ledger = redis.call("HMGET", KEYS[1], "recovering", "fence", "closed", "epoch", "ended")
local run = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
if run ~= ARGV[2] or (ledger[1] or "") ~= ARGV[1] or (ARGV[1] == "" and ledger[3])
  or (ledger[4] or "") ~= ARGV[5] then
  return {"lost"}
end
-- After a mere check the journals of other machines are still of the epoch that ends here: with which fence, says whether
-- they know more.
if ARGV[1] ~= "" then
  redis.call("HDEL", KEYS[1], "ended")
elseif ledger[4] and ledger[4] ~= ARGV[3] then
  local ended = cjson.decode(ledger[5] or "[]")
  table.insert(ended, {ledger[4], tonumber(ledger[2] or 0)})
  if #ended > KEPT_EPOCHS then
    table.remove(ended, 1)
  end
  redis.call("HSET", KEYS[1], "ended", cjson.encode(ended))
end
redis.call("HSET", KEYS[1], "epoch", ARGV[3], "run", run, "fence", math.max(tonumber(ledger[2] or 0), tonumber(ARGV[4])))
redis.call("HDEL", KEYS[1], "closed", "recovering")
return {"open"}
