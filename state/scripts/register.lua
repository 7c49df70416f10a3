-- register: write a call down before its message is sent, or with its message. Registering the same call again changes
-- nothing, and sends nothing.
--
-- Keys:
--   sent_to: the list into which the message goes, if there is one
-- Arguments:
--   call, task, key, origin: of the call
--   kwargs: its arguments, JSON; fingerprint: of the arguments
--   grace_ms: ms after which a call that never started counts as lost
--   delay_ms: ms before its message is sent for the first time, 0 for now
--   expires_ms: ms after which it is refused, 0 for never
--   is_followed: "1" if other calls follow this one
--   has_effect: "1" if its task has an effect, else "0"
--   message: what is sent, or ""
--   more_fields: what few calls have, name and value in turn: the digest of the content that it was made from, its options
--     (JSON), the lane of its messages
-- Returns:
--   {"registered", now}
--   {"known", state of the known call, its digest or "", its task, its arguments, its options (JSON) or ""}
--! include now history restart
local K = named({"call", "key", "queued", "waiting", "history", "followed", "sent_to..."}, KEYS)
local A = named({
  "call", "task", "key", "kwargs", "fingerprint", "origin", "grace_ms", "delay_ms", "expires_ms", "is_followed",
  "has_effect", "message", "more_fields..."
}, ARGV)

local known = fields(K.call, "state", "digest", "task", "kwargs", "options")
if known.state then
  return {"known", known.state, known.digest or "", known.task, known.kwargs or "", known.options or ""}
end
local delay = tonumber(A.delay_ms)
local to = delay > 0 and "waiting" or "queued"
local more = A.more_fields
if delay > 0 then
  more[#more + 1], more[#more + 2] = "delay_ms", delay
else
  more[#more + 1], more[#more + 2] = "sent_ms", now
end
if tonumber(A.expires_ms) > 0 then
  more[#more + 1], more[#more + 2] = "expires_ms", now + A.expires_ms
end
redis.call("HSET", K.call, "task", A.task, "key", A.key, "kwargs", A.kwargs, "fingerprint", A.fingerprint,
  "door", A.origin, "state", to, "at_ms", now + delay, "effect", A.has_effect, unpack(more))
if A.is_followed == "1" then
  redis.call("ZADD", K.followed, now, A.call)
end
if delay > 0 then
  redis.call("ZADD", K.waiting, now + delay, A.call)
else
  redis.call("ZADD", K.queued, now + A.grace_ms, A.call)
end

if not take_free_key(K.key, K.history, A.call, to, A.task, A.fingerprint, now .. " " .. A.origin) then
  append_event(K.key, K.history, {at = now, event = "registered", door = A.origin, call = A.call})
end
if A.message ~= "" then
  redis.pcall("LPUSH", K.sent_to[1], A.message) -- it is registered in any case: what is not sent, the sweeper sends
end
return {"registered", now}
