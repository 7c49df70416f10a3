-- waiting: return a page of the keys that wait for a person, oldest first, and how many there are.
-- An older version writes `held` alone; then the order is made anew from it.
--
-- Arguments:
--   start: how many to pass over; count: how many to return at most
--   kind: "approval" for the approvals alone, "doubt" for all but these, or ""
-- Returns:
--   {"waiting", how many wait, entry of `held` (JSON)...}
local K = named({"held", "waits", "asks"}, KEYS)
local A = named({"start", "count", "kind"}, ARGV)

local index = A.kind == "approval" and K.asks or K.waits
local first, last = tonumber(A.start), A.start + A.count - 1

local function order_again()
  redis.call("DEL", K.waits, K.asks)
  for _, text in ipairs(redis.call("HVALS", K.held)) do
    local entry = cjson.decode(text)
    redis.call("ZADD", K.waits, entry.since, entry.key)
    if entry.kind == "approval" then
      redis.call("ZADD", K.asks, entry.since, entry.key)
    end
  end
end

-- Return the keys of the page that are not approvals: those are passed over, a hundred at a time.
local function keys_in_doubt()
  local found, passed, at = {}, 0, 0
  repeat
    local some = redis.call("ZRANGE", index, at, at + 99)
    local asked = #some > 0 and redis.call("ZMSCORE", K.asks, unpack(some)) or {}
    for i, key in ipairs(some) do
      if not asked[i] then
        passed = passed + 1
        if passed > first and #found <= last - first then
          found[#found + 1] = key
        end
      end
    end
    at = at + 100
  until #some < 100 or #found > last - first
  return found
end

local function keys_of_page()
  if last < first then
    return {}
  end
  if A.kind == "doubt" and redis.call("EXISTS", K.asks) == 1 then
    return redis.call("ZCARD", K.asks) < redis.call("ZCARD", K.waits) and keys_in_doubt() or {}
  end
  return redis.call("ZRANGE", index, first, last)
end

-- Return the entries of the page; nil if the order names a key that does not wait any more.
local function page()
  local keys = keys_of_page()
  local entries = #keys > 0 and redis.call("HMGET", K.held, unpack(keys)) or {}
  for _, entry in ipairs(entries) do
    if not entry then
      return nil
    end
  end
  return entries
end

local is_whole = redis.call("HLEN", K.held) == redis.call("ZCARD", K.waits)
local entries = is_whole and page()
if not entries then
  order_again()
  entries = page()
end
return {"waiting", redis.call("ZCARD", index), unpack(entries)}
