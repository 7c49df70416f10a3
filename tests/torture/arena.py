"""Everything one scenario plays with: a store, a judge, proxies before both, an installation, and who asks and watches."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.effects.client import EffectServer
from tests.harness import GaveUp, Process, Valkey, until
from tests.harness.install import ROOT
from tests.torture.house import House
from tests.torture.producer import Producer
from tests.torture.proxied import Proxied
from tests.torture.replica import Replica
from tests.torture.shim import Shim
from tests.torture.tmpfs import Disk
from tests.torture.verdict import Verdict, judge
from tests.torture.watch import LOOKED_UP, Watch, about, standings

#: Seconds within which everything must have come to rest after the last fault.
REST_WITHIN = 60.0
#: The judge keeps requests until it is told to go on. A provider that can be asked has ended each before the drain time of
#: five seconds, as it promised: a machine that takes longer to start a worker must not make it break its word.
HOLD = "delay:300"
HOLD_PROMISED = f"{HOLD}:4.5"
#: How keys begin that are no effects yet: the first of two steps.
CONTAINER = "box:"


#: Those that are open, or being opened.
ARENAS: set[Arena] = set()


def close_all() -> None:
    """End every process of every arena."""
    for arena in list(ARENAS):
        arena.close()


class Arena:
    """One run. `close` ends every process of it."""

    def __init__(self, folder: Path, seed: int, *, root: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.hits = self.faults = 0
        self.complaints: list[str] = []
        self._hit: set[int] = set()
        self._closers: list[Callable[[], None]] = []
        self._closed = False
        ARENAS.add(self)
        try:
            self._open(folder, seed, root, dict(env or {}))
        except BaseException:
            self.close()
            raise

    def _open(self, folder: Path, seed: int, root: Path, env: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.valkey = Valkey(aof=True)
        self.keep(self.valkey.close)
        self.valkey.start()
        self.judge = EffectServer(folder).start()
        self.keep(self.judge.kill9)
        self.to_judge = self.proxy("to-judge", self.judge.base_url.split("/")[2], folder, seed)
        self.to_store = self.proxy("to-store", f"unix:{self.valkey.socket}", folder, seed)
        url = f"http://127.0.0.1:{self.to_judge.port}/effects"
        self.house = House(
            folder, self.valkey.url, task_modules=["torturer"], env={"EFFECTS_URL": url, **env}, root=root
        )
        self.keep(self.house.close)
        self.producer = Producer(self.house, seed)
        self.keep(self.producer.close)
        self.house.env["REDIS_URL"] = f"redis://127.0.0.1:{self.to_store.port}/0"
        self.watch = Watch(self.valkey.client(), lambda: self.producer.asked)
        self.keep(self.watch.close)

    # Asking

    def ask(self, n: int, task: str = "strike") -> list[str]:
        """Ask for `n` effects; returns their keys once the calls are accepted."""
        return self.producer.ask(task, n)

    def ask_and_hold(self, n: int, task: str = "strike", mode: str = HOLD) -> list[str]:
        """Ask for `n` effects and wait until the judge has all their requests and has answered none.

        What can be looked up is not held beyond the drain time that its task trusts, however slow the machine is.
        """
        if task in LOOKED_UP and mode == HOLD:
            mode = HOLD_PROMISED
        self.judge.mode(mode)
        keys = self.ask(n, task)
        self.wait_open(keys)
        return keys

    def wait_open(self, keys: list[str], deadline: float = 30.0) -> None:
        """Wait until a request of each of these keys began at the judge."""
        until(
            lambda: set(keys) <= {row["key"] for row in self.judge.open()},
            deadline,
            f"{len(keys)} requests at the judge",
        )

    def wait_asked(self, keys: list[str], deadline: float = 30.0) -> None:
        """Wait until the judge has had a request of each of these keys."""
        until(
            lambda: all(about["requests"] for about in map(self.judge.asked().__getitem__, keys)),
            deadline,
            f"{len(keys)} keys to be asked for at the judge",
        )

    def wait_standing(self, keys: list[str], *states: str, deadline: float = 30.0) -> None:
        """Wait until each of these keys is in one of these states."""

        def are_there() -> bool:
            found = set(standings(self.watch.client, keys).values())
            if found <= set(states):
                return True
            raise LookupError(f"they are {found}")

        until(are_there, deadline, f"{len(keys)} keys to be {' or '.join(states)}")

    def let_go(self) -> None:
        """The judge goes on as usual, with what it held too."""
        self.judge.mode("ok")
        self.judge.release()

    def hold_answers(self) -> str:
        """A mode that holds requests, drawn by lot: before the effect, or after it."""
        return self.random.choice([HOLD, "delay_after:300"])

    def say(self, most: int) -> None:
        """Be the person who looks at the provider and says what became of keys in doubt; of so many at most."""
        counts, keys = self.judge.counts(), [key for key, task in self.producer.asked.items() if task == "strike"]
        doubtful = [key for key, state in standings(self.watch.client, keys).items() if state == "unknown"][:most]
        for key in doubtful:
            word = "--applied" if counts.get(key) else "--not-applied"
            self.producer.gate("resolve", key, word, "--why", "the judge's table says so")
        self.wait_standing(doubtful, "done")

    # Faults

    def hit(self, *victims: Process, keys: Iterable[str] = (), more: int = 0) -> None:
        """A fault falls now: count what is in its sending window, each request once.

        That is what the judge has not answered, of the victims, or of all when the fault has none; these `keys`, whose
        answer is lost; and so many `more` that a worker noted between two steps, where the judge cannot see them.
        """
        senders = {str(victim.pid) for victim in victims}
        rows = [row for row in self.judge.open() if not senders or row["sender"] in senders]
        fresh = {row["id"]: row["key"] for row in rows if row["id"] not in self._hit}
        self._hit |= set(fresh)
        self.hits += len({*keys, *fresh.values()}) + more
        self.faults += 1

    @contextmanager
    def fault(self, *victims: Process) -> Iterator[None]:
        """A fault for the length of a block, and from its end the recovery is timed."""
        self.hit(*victims)
        yield
        self.watch.mark()

    def last(self, seconds: float) -> None:
        """The length of a fault is part of it: no wait for something to happen."""
        time.sleep(seconds)

    # The end

    def rest(self, deadline: float = REST_WITHIN) -> None:
        """Wait until every key that was ever asked for is at rest."""
        until(self.watch.all_rest, deadline, "every key to come to rest")

    def verdict(self, deadline: float = REST_WITHIN) -> Verdict:
        """Wait for rest, and look at everything once more; what moves for ever is found lost."""
        with suppress(GaveUp):
            self.rest(deadline)
        with suppress(GaveUp):
            until(lambda: not self.judge.open(), 10, "the judge to have answered all")
        asked = {key: about["doubtful"] for key, about in self.judge.asked().items() if about["requests"]}
        keys = list(self.producer.asked)
        counts = {key: count for key, count in self.judge.counts().items() if not key.startswith(CONTAINER)}
        return judge(self.producer.asked, standings(self.watch.client, keys), counts, asked)

    def another_way(self) -> tuple[Proxied, str]:
        """A second proxy to the store, and the REDIS_URL that leads through it."""
        way = self.proxy(f"way{len(self._closers)}", f"unix:{self.valkey.socket}", self.house.folder, self.seed)
        return way, f"redis://127.0.0.1:{way.port}/0"

    def put_store_on_shim(self) -> Shim:
        """Start the store again, with a clock that can be set."""
        shim = Shim(self.house.folder, "store")
        self.valkey.stop()
        self.valkey.env.update(shim.env)
        self.valkey.start()
        return shim

    def put_journal_on(self, kilobytes: int) -> Disk:
        """A small disk for the journal; nobody may have opened it yet."""
        disk = Disk(self.house.state_dir / "journal", kilobytes)
        self.keep(disk.close)
        return disk

    def replica(self) -> Replica:
        """A second store that follows this one from now on."""
        way, _ = self.another_way()
        replica = Replica(way)
        self.keep(replica.close)
        return replica

    def move_to(self, replica: Replica) -> None:
        """The replica is the store now: everybody is led there."""
        self.valkey = replica.valkey
        self.watch.client = replica.valkey.client()
        self.to_store.retarget(replica.target)
        self.producer.lead_to(replica.valkey.url)

    def epilogue(self, before: Verdict) -> Verdict:
        """Empty Redis, rebuild it from the journal, ask for every key again: no verdict may be worse for it."""
        names: dict[str, list[str]] = {"strike": [], "sure": [], "steps": [], "once": []}
        for key, task in self.producer.asked.items():
            names.get(task, []).append(key.partition(":")[2])
        self.valkey.client().flushall()
        self.producer.gate("recover")
        for task, asked in names.items():
            self.producer.ask_for(task, asked)
        self.rest(2 * REST_WITHIN)
        after = self.verdict()
        return replace(after, ended=before.ended) if not after.broken else after

    def testify(self, verdict: Verdict) -> None:
        """Write down what Redis knows of the first keys of each broken promise."""
        for promise, keys in verdict.broken.items():
            known = {key: about(self.watch.client, key) for key in keys[:5]}
            (self.house.folder / f"{promise}.json").write_text(json.dumps(known, indent=1))

    def check(self, what: str, holds: Any) -> None:
        """A promise of this scenario's own. One that is broken makes it red; it is played to its end all the same."""
        if not holds:
            self.complaints.append(what)

    def close(self) -> None:
        """End everything, in the opposite order, for good."""
        self._closed = True
        ARENAS.discard(self)
        while self._closers:
            with suppress(Exception):
                self._closers.pop()()

    def keep(self, close: Callable[[], None]) -> None:
        """To be called at the end, or now if that has come already."""
        self._closers.append(close)
        if self._closed:
            self.close()
            raise GaveUp("the arena is closed")

    def proxy(self, name: str, target: str, folder: Path, seed: int) -> Proxied:
        """A proxy of this arena."""
        proxy = Proxied(name, target, folder, seed)
        self.keep(proxy.close)
        return proxy
