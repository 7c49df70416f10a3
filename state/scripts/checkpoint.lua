-- checkpoint: save what a provider answered to the first of two steps, so that a later attempt continues from there.
--
-- Arguments:
--   owner, fence: of the claim
--   name, value: of the checkpoint
-- Returns:
--   {"kept"}
--   {"lost", state}
local K = named({"key"}, KEYS)
local A = named({"owner", "fence", "name", "value"}, ARGV)

local key = fields(K.key, "state", "owner", "fence")
if key.owner ~= A.owner or key.fence ~= A.fence or (key.state ~= "claimed" and key.state ~= "sending") then
  return {"lost", key.state or "gone"}
end
redis.call("HSET", K.key, "point:" .. A.name, A.value)
return {"kept"}
