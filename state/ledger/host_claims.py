"""Death over hosts: what each host holds, and which of its attempts can send nothing any more.

A lock file proves a death on its own host. So each host says of its own dead processes that they are dead, and of a host
that is gone a person says it. Only then an absence counts as proof on other hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from state import host
from state.agents import held
from state.agents.audit import Said
from state.ledger import owner as owners
from state.ledger.audit import Audit
from state.ledger.sweep import Sweep
from state.model import Claim
from state.processes import hosts
from state.processes.hosts import Gone
from state.redis.client import hash_fields, now_ms
from state.redis.keys import Keys
from state.redis.script import Script

#: Keys read at once.
BATCH_SIZE = 500
#: What an attempt is doing whose claim a host holds, and what it left behind.
CLAIMED, IN_DOUBT = ("claimed", "sending"), ("unknown", "held")

_dead = Script("dead")


@dataclass(frozen=True)
class HostClaim:
    """A key that an attempt of a host holds, or left in doubt."""

    agent: str
    key: str
    state: str  #: "claimed", "sending", "unknown" or "held"
    call: str
    owner: str
    fence: int
    is_over: bool  #: nothing can be sent for it any more

    @property
    def host(self) -> str:
        """The name of the host, as the owner has it; "" if it has none."""
        return host.host_of(self.owner)

    @property
    def claim(self) -> Claim:
        """The claim, for the scripts."""
        return Claim(self.agent, self.key, self.call, self.owner, self.fence)


class HostClaims(Sweep, Audit):
    """The claims and doubts of hosts, and the deaths of their processes."""

    def host_claims(self, agents: Sequence[str]) -> list[HostClaim]:
        """Return every key that an attempt holds or left in doubt."""
        return [*self._running(agents), *self._in_doubt(agents)]

    def report_deaths(self, agents: Sequence[str]) -> list[HostClaim]:
        """Tell the other hosts of this host's dead processes whose effects are in doubt; return these keys.

        Also applies what a person said of a host that is gone to doubts that came to light later. An idle system costs
        one round trip.
        """
        open_ = [each for each in self._in_doubt(agents) if not each.is_over]
        dead = {
            each: f"its process is dead: {host.this_host()} says so" for each in open_ if owners.is_dead(each.owner)
        }
        if any(each.host and host.mark_of(each.host) != host.mark() for each in open_):
            dead |= _of_gone_hosts(each for each in open_ if each not in dead)
        return [each for each, why in dead.items() if self._say_dead(each, why)]

    def host_gone(self, mark: str, name: str, claims: Iterable[HostClaim], said: Said) -> list[HostClaim]:
        """Apply a person's decision that a host is gone to the claims that it had; return them with their new states.

        Args:
            mark: Of the host.
            name: Of the host.
            claims: What it held when the decision was taken: a claim that it makes later is not touched.
            said: The decision.

        Raises:
            JournalUnavailable: The decision cannot be kept, and nothing was changed.

        """
        self.journal.append("probe", {}, sync=True)
        lost = [each for each in claims if not owners.is_alive(each.owner)]
        decided = Gone(name, now_ms(self.redis), said.by, said.door, said.why, _newest(lost))
        hosts.say_gone(mark, decided)
        return [replace(each, state=self._give_up(each, _why(decided)), is_over=True) for each in lost]

    def _give_up(self, each: HostClaim, why: str) -> str:
        """Take the claim of an owner that is gone, or say so of its doubt; return the state of the key then."""
        if each.state in CLAIMED:
            state = self.reclaim(each.claim, dead=True)
            return each.state if state == "kept" else state
        self._say_dead(each, why)
        return str(self.redis.hget(Keys(each.agent).key(each.key), "state") or each.state)

    def _say_dead(self, each: HostClaim, why: str) -> bool:
        keys = Keys(each.agent).of(each.key, each.call)
        answer = _dead(self.redis, keys, **each.claim.script_arguments(), why=why)
        return bool(answer[0] == "noted")

    def _running(self, agents: Sequence[str]) -> Iterator[HostClaim]:
        with self.redis.pipeline(transaction=False) as pipe:
            for n in map(Keys, agents):
                pipe.zrange(n.running, 0, -1)
            found = pipe.execute()
        for agent, keys in zip(agents, found, strict=True):
            yield from self._described(agent, keys, CLAIMED)

    def _in_doubt(self, agents: Sequence[str]) -> Iterator[HostClaim]:
        with self.redis.pipeline(transaction=False) as pipe:
            for n in map(Keys, agents):
                pipe.hlen(n.held).zcard(n.asks)
            counts = pipe.execute()
        for agent, all_, asked in zip(agents, counts[::2], counts[1::2], strict=True):
            for start in range(0, all_ - asked, BATCH_SIZE):
                page = held.read_page(self.redis, agent, start, BATCH_SIZE, "doubt")
                yield from self._described(agent, [entry["key"] for entry in page.entries], IN_DOUBT)

    def _described(self, agent: str, keys: Sequence[str], states: Sequence[str]) -> Iterator[HostClaim]:
        names = [Keys(agent).key(key) for key in keys]
        found = hash_fields(self.redis, names, "state", "call", "owner", "fence", "gone", "looks") if names else []
        for key, (state, call, owner, fence, gone, looks) in zip(keys, found, strict=True):
            is_poison = state == "held" and not int(looks or 0)  # its effect never began, so nothing is in doubt
            if state in states and owner and fence and not is_poison:
                yield HostClaim(agent, key, state, call or "", owner, int(fence), gone == fence)


def _of_gone_hosts(claims: Iterable[HostClaim]) -> dict[HostClaim, str]:
    """Return those of these that began before a person said that their host is gone, each with the reason."""
    gone, found = hosts.gone(), {}
    for each in claims:
        decided = gone.get(host.mark_of(each.host))
        if decided and decided.covers(each.owner) and not owners.is_alive(each.owner):
            found[each] = _why(decided)
    return found


def _newest(claims: Iterable[HostClaim]) -> dict[str, int]:
    """Return the newest attempt of each process among these: it had begun by then, as had all before it."""
    newest: dict[str, int] = {}
    for each in claims:
        process, _, number = each.owner.partition("/")
        if number.isdecimal():
            newest[process] = max(int(number), newest.get(process, 0))
    return newest


def _why(decided: Gone) -> str:
    return f"its host is gone: {decided.by} says so: {decided.why}"
