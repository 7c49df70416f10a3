-- checkpoint: save what a provider answered to the first of two steps, so that a later attempt continues from there.
--
-- Arguments:
--   owner, fence: of the claim
--   name, value: of the checkpoint
-- Returns:
--   {"kept"}
--   {"lost", state}
--! include prelude
local K = named({"key"}, KEYS)
local A = named({"owner", "fence", "name", "value"}, ARGV)
local key = redis.call("HMGET", K.key, "state", "owner", "fence")
if key[2] ~= A.owner or key[3] ~= A.fence or (key[1] ~= "claimed" and key[1] ~= "sending") then
  return {"lost", key[1] or "gone"}
end
redis.call("HSET", K.key, "point:" .. A.name, A.value)
return {"kept"}
