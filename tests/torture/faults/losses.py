"""The store comes back with less than it knew: emptied, rolled back, cut short, or replaced by one that lagged behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from state.redis.keys import Keys
from tests.harness import Valkey, until
from tests.torture.arena import Arena
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.house import wait_dead
from tests.torture.orders import stumble
from tests.torture.producer import AGENT
from tests.torture.replica import Replica
from tests.torture.scenario import fault
from tests.torture.watch import standings

LEDGER = Keys(AGENT).ledger
#: How a person empties Redis. The last one takes only what says that nothing is missing.
EMPTYINGS: dict[str, Callable[[Valkey], object]] = {
    "FLUSHALL": lambda valkey: valkey.client().flushall(),
    "FLUSHDB": lambda valkey: valkey.client().flushdb(),
    "DEL of the ledger": lambda valkey: valkey.client().delete(LEDGER),
    "HDEL of the epoch": lambda valkey: valkey.client().hdel(LEDGER, "epoch"),
}


def live_through(arena: Arena, lose: Callable[[], None], *, work_between: bool = True) -> None:
    """Work, lose, see that effects are closed and other work goes on, ask for everything again, recover, and rest."""
    before = arena.ask(HALF) + arena.ask(HALF, "sure")
    arena.wait_standing(before, "done")
    flying = hold_both(arena)
    queued = arena.ask(HALF) if work_between else []
    arena.hit()
    lose()
    again = [key.partition(":") for key in (*before, *flying, *queued)]
    for task in ("strike", "sure"):
        arena.producer.ask_for(task, [name for kind, _, name in again if kind == task])
    chores = arena.ask(4, "chore")
    arena.wait_standing(chores, "done")
    arena.producer.forget(chores)  # a repeat-safe task that is over leaves nothing that must survive
    if arena.random.random() < 0.5:
        arena.to_judge.cut("client")
    arena.let_go()
    until(lambda: not arena.judge.open(), 30, "the judge to have answered all")
    recover(arena)
    arena.rest(90)


def recover(arena: Arena) -> None:
    """What a person does after a loss."""
    arena.producer.gate("recover")
    arena.watch.mark()


def closed(arena: Arena) -> None:
    """New effects wait, and nothing of them is sent."""
    keys = arena.ask(4)
    arena.last(1.5)
    found = standings(arena.watch.client, keys)
    arena.check(f"effects are closed: {found}", set(found.values()) <= {"waiting", "queued"})
    arena.check("nothing was sent", not set(keys) & set(arena.judge.asked()))


@fault("F14", "FLUSHALL, FLUSHDB, DEL of the ledger and of its epoch, under way", short=1, long=6, limit=240)
def store_emptied(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    for _ in range(rounds):
        names = list(EMPTYINGS) if rounds > 1 else ["FLUSHALL"]
        for name in names:

            def lose(how: Callable[[Valkey], object] = EMPTYINGS[name]) -> None:
                how(arena.valkey)
                closed(arena)

            live_through(arena, lose)


@fault("F14", "FLUSHALL and a recovery between the compare-and-set and the send", short=1, long=8)
def emptied_before_the_send(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        [victim] = arena.house.hire(STUMBLE=stumble("script.after", "hold", times=2 * HALF))
        keys = arena.ask(HALF) + arena.ask(HALF, "sure")
        arena.house.wait_held("script", victim, 2 * HALF)
        arena.hit(victim, more=2 * HALF)
        arena.valkey.client().flushall()
        recover(arena)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown", "held", "done")
        arena.house.go_on(victim)
        arena.last(1)
        arena.watch.mark()
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault("F14", "a worker looks into the wrong database of Redis", short=1, long=4)
def wrong_database(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        keys = arena.ask(HALF)
        arena.wait_standing(keys, "done")
        url = f"redis://127.0.0.1:{arena.to_store.port}/1"
        stray = arena.house.begin_worker(REDIS_URL=url)
        names = [key.partition(":")[2] for key in keys]
        asker = arena.house.ask_elsewhere(url, "strike", names)
        wait_dead(asker)
        arena.hit()
        arena.last(4)
        stray.kill9()
        arena.watch.mark()


@fault("F13", "Redis comes back from an older copy of its AOF", short=1, long=6)
def rolled_back(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    copy = arena.house.folder / "aof"
    aof = arena.valkey.folder / "appendonlydir"

    def lose() -> None:
        arena.valkey.kill9()
        shutil.rmtree(aof)
        shutil.copytree(copy, aof)
        arena.valkey.start()
        closed(arena)

    for _ in range(rounds):
        arena.wait_standing(arena.ask(HALF), "done")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(aof, copy)
        live_through(arena, lose)


@fault("F13", "the tail of the AOF is cut off, by a few bytes or many", short=2, long=10)
def tail_cut(arena: Arena, rounds: int) -> None:
    """A short tail may hold nothing that counts: then nothing is closed, and nothing needs to be."""
    arena.house.hire(2)

    def lose() -> None:
        arena.valkey.kill9()
        newest: Path = max((arena.valkey.folder / "appendonlydir").glob("*.incr.aof"))
        size = newest.stat().st_size
        cut = min(size, int(10 ** arena.random.uniform(1, 4.5)))
        with newest.open("r+b") as file:
            file.truncate(size - cut)
        arena.valkey.start()

    for _ in range(rounds):
        live_through(arena, lose)


@fault("F15", "a failover to a replica that lagged behind", short=1, long=5)
def failover(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)

    for _ in range(rounds):
        replica = arena.replica()

        def lose(heir: Replica = replica) -> None:
            old = arena.valkey
            old.kill9()
            heir.promote()
            arena.move_to(heir)

        arena.wait_standing(arena.ask(HALF), "done")
        if arena.random.random() < 0.5:
            replica.lag()
        live_through(arena, lose, work_between=False)


@fault("F16", "two primaries: a worker still sends for the old one what is asked for on the new one", short=1, long=8)
def split_brain(arena: Arena, rounds: int) -> None:
    for number in range(rounds):
        replica = arena.replica()
        way, url = arena.another_way()
        [pinned] = arena.house.hire(REDIS_URL=url)
        arena.wait_standing(arena.ask(HALF) + arena.ask(HALF, "sure"), "done")
        arena.judge.mode(arena.hold_answers())
        names = arena.producer.names(HALF)
        arena.producer.write_down("strike", names)
        if number % 2 == 0:  # the new one never hears of them; otherwise both go on from the same point at once
            replica.lag()
        asker = arena.house.ask_elsewhere(url, "strike", names)
        wait_dead(asker)
        if number % 2 == 0:
            arena.wait_open([f"strike:{name}" for name in names])
        replica.promote()
        arena.move_to(replica)
        [other] = arena.house.hire()
        arena.producer.ask_for("strike", names)
        arena.last(3)
        arena.hit()
        arena.let_go()
        arena.last(1)
        pinned.kill9()
        way.close()
        recover(arena)
        arena.rest(90)
        other.kill9()
    arena.house.hire()
