-- spend: count the tokens of an attempt for the budgets of its call, as soon as a model has answered. What was counted
-- of an attempt before is not counted again, so a lost answer does no harm, and no end of the attempt is waited for.
--
-- Keys:
--   budgets: the budgets in the order of the policy
-- Arguments:
--   key, fence: of the claim
--   task: of the call
--   tokens: that this attempt has spent so far
--   policy: JSON {budgets: [{rule, limit, window_ms}]}
-- Returns:
--   {"counted", rule of each budget that these tokens used up}
--! include now budget
local K = named({"key", "used_up", "budgets..."}, KEYS)
local A = named({"key", "fence", "task", "tokens", "policy"}, ARGV)

-- Return how many of the tokens are not counted yet, and note that they are.
local function new_tokens()
  local key = fields(K.key, "state", "spent")
  local fence, counted = string.match(key.spent or "", "^(%d+) (%d+)$")
  local new = tonumber(A.tokens) - (fence == A.fence and tonumber(counted) or 0)
  if new > 0 and key.state then -- a key that is gone must not come back as a hash of this field alone
    redis.call("HSET", K.key, "spent", A.fence .. " " .. A.tokens)
  end
  return new
end

-- Keep a budget among those that are used up, or leave it out; return whether the new tokens used it up.
local function list_budget(name, budget, before, spent, slices)
  if spent < budget.limit then
    redis.call("HDEL", K.used_up, name)
    return false
  end
  local is_new = before < budget.limit
  local known = not is_new and redis.call("HGET", K.used_up, name)
  local until_ms = budget_opens(spent, slices, budget.limit, budget.window_ms)
  redis.call("HSET", K.used_up, name, cjson.encode({task = A.task, rule = budget.rule, key = A.key, limit = budget.limit,
    tokens = spent, since = known and cjson.decode(known).since or now, ["until"] = until_ms}))
  return is_new
end

local new, used_up = new_tokens(), {}
if new <= 0 then
  return {"counted"}
end
for i, budget in ipairs(cjson.decode(A.policy).budgets) do
  local name = K.budgets[i]
  redis.call("HINCRBY", name, slice_at(now, budget.window_ms), new)
  redis.call("PEXPIRE", name, 2 * budget.window_ms)
  local spent, slices = count_tokens(name, budget.window_ms)
  if list_budget(name, budget, spent - new, spent, slices) then
    used_up[#used_up + 1] = budget.rule
  end
end
return {"counted", unpack(used_up)}
