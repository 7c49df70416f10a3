-- host: record that a process of this host is alive that writes no sign of its own.
--
-- Keys:
--   hosts: mark of a host → JSON, see state/processes/hosts.py
-- Arguments:
--   mark: of the host; host: what the process reports about it, JSON
--   keep_ms: ms after which a silent host is forgotten
-- Returns:
--   {"kept", now}
--! include now host
local K = named({"hosts"}, KEYS)
local A = named({"mark", "host", "keep_ms"}, ARGV)

sign_host(K.hosts, A.mark, A.host, A.keep_ms)
return {"kept", now}
