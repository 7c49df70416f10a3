"""The database of a shared journal is away, silent, full or refuses: effects are closed until it is back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.harness import until
from tests.torture import tmpfs
from tests.torture.arena import Arena
from tests.torture.database import Database, missing
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.scenario import fault


def nothing(_keys: set[str]) -> bool:
    """Allow no key to be sent while the database is away."""
    return False


def closed_while(
    arena: Arena, away: Callable[[], object], back: Callable[[], object], may_send: Callable[[set[str]], bool] = nothing
) -> None:
    """Let the database go away with effects in flight; what is asked for meanwhile waits, and work without effects goes on.

    Args:
        arena: The arena.
        away: Lets the database go away.
        back: Brings it back.
        may_send: Asked, once it is back, about the keys that were sent meanwhile.

    """
    keys = hold_both(arena)
    with arena.fault():
        away()
        arena.let_go()
        names = arena.producer.names(HALF)
        arena.producer.write_down("strike", names)
        asker = arena.house.ask_elsewhere(arena.house.env["REDIS_URL"], "strike", names, insist=True)
        chores = arena.ask(2, "chore")
        arena.wait_standing(chores, "done")
        arena.producer.forget(chores)
        arena.last(arena.random.uniform(1, 4))
        sent = {f"strike:{name}" for name in names} & set(arena.judge.asked())
        back()
        arena.check(f"nothing was sent: {len(sent)} of {len(names)}", not sent or may_send(sent))
    until(lambda: not asker.alive, 30, "every call to be accepted")
    arena.wait_standing(keys, "done", "unknown", deadline=60)
    arena.rest(90)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F40", "kill -9 of PostgreSQL under busy workers", short=1, long=8, missing=missing, limit=180)
def database_killed(arena: Arena, rounds: int) -> None:
    database = Database.of(arena)
    arena.house.hire(2)
    for _ in range(rounds):
        closed_while(arena, database.server.kill9, database.server.start)


@fault("F40", "kill -9 of one connection's process: PostgreSQL ends all others and recovers", short=2, long=12,
       missing=missing, limit=180)  # fmt: skip
def backend_killed(arena: Arena, rounds: int) -> None:
    database = Database.of(arena)
    arena.house.hire(2)
    for _ in range(rounds):
        keys = hold_both(arena)
        with arena.fault():
            database.server.kill9_one()
            arena.ask(HALF)
            arena.let_go()
        arena.wait_standing(keys, "done", "unknown", deadline=60)
        arena.rest(90)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F40", "PostgreSQL stands still, for less and for longer than it is waited for", short=1, long=6, missing=missing,
       limit=180)  # fmt: skip
def database_stopped(arena: Arena, rounds: int) -> None:
    database = Database.of(arena)
    arena.house.hire(2)
    for number in range(rounds):
        keys = hold_both(arena)
        with arena.fault(), database.server.silent():
            arena.let_go()
            arena.last((13, 4)[number % 2])
        arena.ask(HALF)
        arena.wait_standing(keys, "done", "unknown", deadline=60)
        arena.rest(90)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault(
    "F43", "the disk of the database is full", short=1, long=6, missing=lambda: missing() or tmpfs.missing(), limit=180
)
def database_disk_full(arena: Arena, rounds: int) -> None:
    database = Database.of(arena, kilobytes=160_000)
    disk = database.disk
    assert disk
    arena.house.hire(2)
    for _ in range(rounds):
        fillers: list[Any] = []

        def intents_are_kept(keys: set[str]) -> bool:
            """Allow what has an intent: a full disk has room for some records, in the pages and the log that exist."""
            lines = database.server.sql("SELECT line FROM gatehouse_journal WHERE event = 'intent'")
            return keys <= {json.loads(line)["key"] for [line] in lines}

        def free(found: list[Any] = fillers) -> None:
            found.pop().unlink()
            if not database.server.alive:
                database.server.start()

        def fill(found: list[Any] = fillers) -> None:
            found.append(disk.fill())

        closed_while(arena, fill, free, intents_are_kept)


@fault("F43", "the database refuses every write", short=1, long=6, missing=missing, limit=180)
def database_read_only(arena: Arena, rounds: int) -> None:
    server = Database.of(arena).server
    arena.house.hire(2)
    for _ in range(rounds):
        closed_while(
            arena,
            lambda: server.set("default_transaction_read_only", "on"),
            lambda: server.set("default_transaction_read_only", "off"),
        )
