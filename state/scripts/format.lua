-- format: raise the format of what Redis holds, never lower it.
--
-- Keys:
--   format: the format of what Redis holds, as in state/redis_format.py
-- Arguments:
--   needed: the format that is in use from now on
-- Returns:
--   {"kept", format of what Redis holds}
--! include format
local K = named({"format"}, KEYS)
local A = named({"needed"}, ARGV)

return {"kept", raised_format(K.format, A.needed)}
