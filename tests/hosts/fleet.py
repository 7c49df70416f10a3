"""Two hosts that share a Redis, a database and a provider, and an office from which calls come and people decide."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.effects.client import EffectServer
from tests.harness import GaveUp, Valkey, until
from tests.harness.namespaces import Namespace, Relay
from tests.harness.ports import free_ports
from tests.harness.postgres import Postgres
from tests.hosts.host import Host
from tests.torture.house import House
from tests.torture.producer import Producer
from tests.torture.watch import AT_REST, Watch, standings

#: Short, so that a claim is taken soon; an attempt renews its own.
LEASE = "4s"
#: The judge takes so many seconds for each effect: a fault finds some that have begun and are not answered.
SLOW = "delay:0.3"
#: One that nobody can look up, one that can be, and one in two steps; so many of each are asked for at once.
KINDS, OF_EACH_KIND = ("strike", "sure", "steps"), 8
#: Seconds within which everything comes to rest.
REST_WITHIN = 90.0
#: Seconds by which the boot clocks of the hosts differ from that of this machine.
UPTIMES = 5_000_000, 100

#: Ticks that both beats have to make up for.
MISSED = 20

#: Those that are open, or being opened.
FLEETS: set[Fleet] = set()


def close_all() -> None:
    """End every process of every fleet."""
    for fleet in list(FLEETS):
        fleet.close()


class Fleet:
    """`close` ends every process of it, and removes the networks."""

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self._closers: list[Callable[[], None]] = []
        FLEETS.add(self)
        try:
            self._open(folder)
        except BaseException:
            self.close()
            raise

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [self._keep(Namespace(letter)) for letter in "ab"]
        self.valkey = self._keep(Valkey()).start()
        [port] = free_ports(1)
        for name, value in (("protected-mode", "no"), ("bind", " ".join(line.here for line in lines)), ("port", port)):
            self.valkey.client().config_set(name, value)
        self.database = self._keep(Postgres()).start()
        self.judge = EffectServer(folder).start()
        self._closers.append(self.judge.kill9)
        self.a, self.b = (
            self._host(folder, letter, line, port, uptime)
            for letter, line, uptime in zip("ab", lines, UPTIMES, strict=True)
        )
        self.hosts = (self.a, self.b)
        self.office = self._keep(self._open_office(folder / "office"))
        self.producer = self._keep(Producer(self.office, 1))
        self.watch = self._keep(Watch(self.valkey.client(), lambda: self.producer.asked))
        self._prepare_ticks()
        for wait in [host.turn_on() for host in self.hosts]:
            wait()

    def _keep(self, made: Any) -> Any:
        self._closers.append(made.close)
        return made

    def _host(self, folder: Path, letter: str, line: Namespace, port: int, uptime: int) -> Host:
        judge = self._keep(Relay(line.here, urlsplit(self.judge.base_url).port or 0))
        database = self._keep(Relay(line.here, self.database.port))
        env = {
            "REDIS_URL": f"redis://{line.here}:{port}/0",
            "JOURNAL_URL": f"postgresql://gate@{line.here}:{database.port}/postgres",
            "EFFECTS_URL": f"http://{line.here}:{judge.port}/effects",
            "LEASE": LEASE,
        }
        host: Host = self._keep(Host(f"host-{letter}", folder / letter, line, env, uptime))
        return host

    def _open_office(self, folder: Path) -> House:
        env = {
            "HOST_NAME": "office",
            "JOURNAL_URL": self.database.url,
            "EFFECTS_URL": self.judge.base_url,
            "LEASE": LEASE,
        }
        folder.mkdir()
        return House(folder, self.valkey.url, task_modules=["torturer", "lodger"], env=env)

    def close(self) -> None:
        """End everything, in the opposite order."""
        FLEETS.discard(self)
        while self._closers:
            with suppress(Exception):
                self._closers.pop()()

    # Calls

    def ask(self) -> list[str]:
        """Ask for some effects of each kind, of whichever host; return their keys when all calls are accepted."""
        return [key for kind in KINDS for key in self.producer.ask(kind, OF_EACH_KIND)]

    def ask_until_in_flight(self, host: Host) -> list[str]:
        """Ask until a host has effects on their way to the judge; return the keys that it has."""
        asked = self.ask()

        def has_some() -> list[str]:
            nonlocal asked
            found = self.in_flight(host)
            if not found and {*self.states(asked).values()} <= AT_REST:  # the other host had them all
                asked = self.ask()
            return found

        return until(has_some, 30, f"effects of {host.name} on their way")

    def in_flight(self, host: Host) -> list[str]:
        """Return the keys whose requests of a host the judge has not answered yet."""
        return [row["key"] for row in self.judge.open() if row["sender"] in host.senders]

    def states(self, keys: list[str]) -> dict[str, str | None]:
        """Return the state of each key, as Redis has it."""
        return standings(self.valkey.client(), keys)

    def wait_given_up(self, keys: list[str]) -> None:
        """Wait until no attempt holds any of these keys."""
        until(lambda: not {"claimed", "sending"} & {*self.states(keys).values()}, 60, "the claims to be taken")

    def rest(self) -> None:
        """Wait until every key is at rest; the judge finds those that are not."""
        with suppress(GaveUp):
            until(self.watch.all_rest, REST_WITHIN, "every key to come to rest")

    def told(self, host: Host) -> dict[str, Any]:
        """Return what the office tells of a host."""
        [found] = [each for each in self.producer.gate("hosts") if each["host"].partition(".")[0] == host.name]
        return dict(found)

    # Ticks

    def _prepare_ticks(self) -> None:
        """Let both entries have missed so many minutes."""
        self.began = datetime.now(UTC).replace(second=0, microsecond=0)
        self.look_back("agree")

    def look_back(self, entry: str) -> None:
        """Let an entry have been looked at last before the slots of `slots`."""
        self.producer.run(
            """
            from datetime import datetime
            from state.ledger import schedule_runs as ticks
            ticks.remember("torturer", entry, datetime.fromisoformat(since))
            """,
            entry=entry,
            since=(self.began - timedelta(minutes=MISSED + 1)).isoformat(),
        )

    def slots(self, entry: str) -> list[str]:
        """Return the keys of the ticks that were due before the hosts were turned on."""
        dues = (self.began - timedelta(minutes=minutes) for minutes in range(MISSED, 0, -1))
        return [f"tick:{entry}:{due:%Y-%m-%dT%H:%M:%SZ}" for due in dues]
