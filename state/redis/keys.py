"""The name of every key of an agent in Redis; no other module builds one.

All keys of one agent share the hash tag `{agent}`, so that one script may use any of them on a cluster too.
Names of keys and fields never change within a format: during a rolling deploy workers of two versions read each other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache


class _Key:
    """A key of which each agent has one, by the end of its name; a comment above says what it holds."""

    def __init__(self, end: str) -> None:
        self.end = end

    def __get__(self, names: Keys, owner: type[Keys]) -> str:
        return _name(names.agent, self.end)


@dataclass(frozen=True)
class Keys:
    """The keys of one agent; each docstring or comment gives the Redis type and the meaning of its members or fields."""

    agent: str

    def of(self, key: str = "", call: str = "") -> Mapping[str, str]:
        """Return the names by which scripts know what belongs to the agent, to one of its keys and to one of its calls."""
        return _of(self, key, call)

    def key(self, key: str) -> str:
        """hash: state task call fingerprint owner fence lease_ms attempts result payload verify … of one idempotency key

        `gone` is the fence of an attempt that cannot send any more, `told` the same until a look-up knows it that another host
        or a person said so, `looks` how many look-ups there were, `absences` how
        many of them prove that the effect did not happen, `proofs` how often that was enough to send it again.
        `spent` has the fence of an attempt and the tokens of it that are counted for its budgets.
        `proposal` is the text about which a person decides, `proposal_type` its type, `revision` its number, `approved` the
        revision that may be sent, `kind` is "approval" while the key is held for that, from `asked_ms` to `expires_ms`;
        `observed_ms` is when an attempt ended that only told what it would have sent.

        A history in which all went well at once is noted here and has no list: `came` is when and where its first call came
        in, `line` how many ms after `started_ms` its effect began and the characters of its payload, `took` how many ms
        after `started_ms` the effect was applied, if there is one, and the attempt done. With `took`, `settled` and `done_ms`
        are left out; so are `task`, `call` and `fingerprint` of a key whose name is `TASK:CALL`.
        """
        return _name(self.agent, "key", key)

    def history(self, key: str) -> str:
        """list: the events of one key, as JSON objects, oldest first; none while its key notes them, see `key`"""
        return _name(self.agent, "story", key)

    def call(self, call: str) -> str:
        """hash: task key kwargs fingerprint digest door options lane state at_ms delay_ms sent_ms expires_ms booked_ms attempts again sends lost answer unwritten of one call

        `door` is the origin of the call, `again` says that its caller does not retry, `booked_ms` is the slot that it got
        of a rate, `sends` how many messages in a row were lost, `lost` how many workers its claims were lost with.
        `waits` is how often in a row its service could not take it, `waits_since_ms` since when, `waits_why` why;
        `paid_ms` is when it took slots of its rates for a try that reached nothing.
        """
        return _name(self.agent, "call", call)

    #: zset: call → ms when a sweeper checks whether its message is lost
    queued = _Key("queued")
    #: zset: call → ms when it is sent again (deferred calls and retries)
    waiting = _Key("waiting")
    #: zset: call that other calls follow → ms when a sweeper next checks whether it has ended
    followed = _Key("followed")
    #: zset: key → ms when its claim's lease ends
    running = _Key("running")
    #: hash: epoch fence run closed recovering, and sent:KEY → the fence under which this key was last on its way.
    #: `run` is of the server that was checked, `closed` says why no effect may happen, `recovering` is the token of the
    #: recovery at work.
    ledger = _Key("ledger")
    #: zset: call → ms when its last attempt failed, or when it was refused because of its age
    dead = _Key("dead")
    #: hash: revision fence updated_ms last_run_ms clock_ms pause autonomy, and arrived_ms:LANE: when the newest message that
    #: arrived in a lane was sent
    agent_meta = _Key("head")
    #: hash: counter → total; one with a space, such as `refused_rate TASK`, is for /metrics only
    metrics = _Key("metrics")
    #: hash: what is counted for /metrics → how many, or how many ms; see state/agents/measures.py
    measures = _Key("measures")
    #: list: the newest errors as JSON objects, newest first
    errors = _Key("errors")
    #: hash: key → JSON {key state since why}, and {kind expires} of an approval, for every key that waits for a person
    held = _Key("held")
    #: zset: key → ms since when it waits: the order of `held`, made anew where an older version wrote `held` alone
    waits = _Key("waits")
    #: zset: those among them that wait for an approval → the same
    asks = _Key("asks")
    #: stream: one entry for each decision of a person (field `entry`), JSON
    audit = _Key("audit")
    #: hash: id → JSON of each decision that the journal does not have yet
    unwritten = _Key("unwritten")
    #: hash: name of an open breaker → JSON {since until cooldown_ms failures task}; `since` is when it first opened
    breakers = _Key("breakers")
    #: hash: name of a budget that is used up → JSON {task rule key limit tokens since until}; it says so until then at the latest
    used_up = _Key("used-up")
    #: zset: key that waits for an approval → ms when the request expires
    expiring = _Key("expiring")
    #: hash: JSON path, such as ["published","hello","feed"] → JSON value
    facts = _Key("facts")
    #: stream: one entry per settled attempt (field `attempt`) and per refusal (field `refusal`), each JSON
    events = _Key("events")
    #: hash: schedule entry → ISO due time of its newest tick
    ticks = _Key("ticks")
    #: hash: schedule entry → JSON {at why} of its newest tick, if it could not be started
    failing = _Key("failing")

    def collection(self, name: str) -> str:
        """zset: path of one entry of a bounded collection of facts → ms when it was written"""
        return _name(self.agent, "facts", name)

    def started(self, entry: str) -> str:
        """zset: due time in seconds since 1970 → the same, for the newest ticks of an entry that were started"""
        return _name(self.agent, "ticks", entry)

    def passed_over(self, entry: str) -> str:
        """list: the newest ticks of an entry that beat did not start, as JSON [ISO due time, why], newest first"""
        return _name(self.agent, "passed", entry)

    def rate(self, task: str, rule: str, scope: str) -> str:
        """hash: tat_ms (theoretical arrival time) booked_ms (the last slot given to a waiting call)"""
        return _name(self.agent, "rate", task, rule, scope)

    def cap(self, task: str, rule: str, scope: str) -> str:
        """zset: key → ms, of every effect that counts and of every effect under way"""
        return _name(self.agent, "cap", task, rule, scope)

    def budget(self, task: str, window_ms: int, scope: str) -> str:
        """hash: number of a slice of the window → tokens that were spent in it; another limit counts the same tokens"""
        return _name(self.agent, "budget", task, str(window_ms), scope)

    def breaker(self, task: str, scope: str) -> str:
        """hash: failures open_until_ms probe (a key) probe_until_ms"""
        return _name(self.agent, "breaker", task, scope)

    # The desk's keys belong to no agent; each expires.

    @staticmethod
    def session(digest: str) -> str:
        """hash: name tied_to of a person who is signed in, by the digest of the session's id"""
        return _name("house", "desk-session", digest)

    @staticmethod
    def sign_in_tries(address: str) -> str:
        """string: how often this address, or all of them, tried to sign in lately"""  # noqa: D401 - the Redis type
        return _name("house", "desk-tries", address)

    @staticmethod
    def spent_link(digest: str) -> str:
        """string: a mark that the decision link with this digest has decided"""  # noqa: D401 - likewise
        return _name("house", "spent-link", digest)


def _name(agent: str, *parts: str) -> str:
    return ":".join((f"gate:{{{agent}}}", *parts))


@cache
def _of_agent(names: Keys) -> dict[str, str]:
    return {name: getattr(names, name) for name, value in vars(Keys).items() if isinstance(value, _Key)}


@lru_cache(maxsize=256)  # one attempt asks for the same names three times
def _of(names: Keys, key: str, call: str) -> Mapping[str, str]:
    return _of_agent(names) | {"key": names.key(key), "call": names.call(call), "history": names.history(key)}
