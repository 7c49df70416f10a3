"""The database of a shared journal forgets what it confirmed, or its answers do not arrive; later Redis forgets too."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness import until
from tests.torture.arena import Arena
from tests.torture.database import Database, missing
from tests.torture.faults.losses import recover
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.scenario import fault


def ask_again(arena: Arena, keys: list[str]) -> None:
    for task in ("strike", "sure"):
        arena.producer.ask_for(task, [key.partition(":")[2] for key in keys if key.startswith(f"{task}:")])


@fault("F40", "PostgreSQL is killed with workers in flight, and Redis and the copy of the journal are gone", short=1, long=6,
       missing=missing, limit=180, epilogue=False)  # fmt: skip
def only_the_database_is_left(arena: Arena, rounds: int) -> None:
    """What it confirmed must be on its disk: nobody else knows of it any more."""
    database = Database.of(arena, wal_writer_delay="10s")
    for _ in range(rounds):
        workers = arena.house.hire(2)
        keys = hold_both(arena)
        with arena.fault():
            database.server.kill9()
            for worker in workers:
                worker.kill9()
            arena.let_go()
            database.remove_copy()
            arena.valkey.client().flushall()
            database.server.start()
        recover(arena)
        workers = arena.house.hire(2)
        ask_again(arena, keys)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
    arena.house.hire()


@fault("F41", "PostgreSQL is killed under load, and its synchronous standby is promoted", short=1, long=6,
       missing=missing, limit=180)  # fmt: skip
def standby_promoted(arena: Arena, rounds: int) -> None:
    """Every record that was confirmed is there, also once Redis and the copy of this host are gone."""
    database = Database.of(arena)
    for _ in range(rounds):
        standby = database.standby(is_synchronous=True)
        workers = arena.house.hire(2)
        keys = hold_both(arena)
        with arena.fault():
            database.server.kill9()
            database.promote(standby)
            arena.let_go()
            arena.ask(HALF)
        arena.wait_standing(keys, "done", "unknown", deadline=60)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
        database.remove_copy()
        arena.valkey.client().flushall()
        recover(arena)
        workers = arena.house.hire(2)
        ask_again(arena, keys)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
    arena.house.hire()


@fault("F41", "an asynchronous standby that lagged is promoted, the workers die, and later Redis and the copy are lost", short=1, long=6,
       missing=missing, limit=300, epilogue=False)  # fmt: skip
def lagging_standby_promoted(arena: Arena, rounds: int) -> None:
    """The new primary does not have the intents; their host puts them back from its copy, which is lost only later."""
    database = Database.of(arena)
    for _ in range(rounds):
        way = arena.proxy(
            f"to-standby{database.server.port}", f"127.0.0.1:{database.server.port}", arena.house.folder, arena.seed
        )
        standby = database.standby(is_synchronous=False, port=way.port)
        workers = arena.house.hire(2)
        arena.wait_standing(arena.ask(HALF), "done")
        database.wait_until_it_follows(standby)
        way.order(down="hold")
        keys = hold_both(arena)
        with arena.fault():
            database.server.kill9()
            for worker in workers:
                worker.kill9()
            arena.let_go()
            way.close()
            database.promote(standby)
        workers = arena.house.hire(2)
        arena.wait_standing(arena.ask(2), "done", deadline=60)
        database.remove_copy()
        arena.valkey.client().flushall()
        recover(arena)
        ask_again(arena, keys)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
    arena.house.hire()


@fault("F42", "the database did as it was told, and its answer is lost, in the middle of commits", short=1, long=8,
       missing=missing, limit=180)  # fmt: skip
def answers_of_database_lost(arena: Arena, rounds: int) -> None:
    database = Database.of(arena)
    arena.house.hire(2)
    arena.judge.mode("delay:0.6")
    for _ in range(rounds):
        with database.way.while_ordered(lose_share=0.05):
            for _ in range(5):
                arena.ask(HALF // 2)
                arena.ask(HALF // 2, "sure")
                arena.last(0.4)
                arena.hit()
            arena.last(1)
            database.way.cut("both")
        arena.watch.mark()
        arena.rest(90)
    arena.check("no answer was lost", database.way.lost)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F42", "the synchronous standby is lost, commits wait, a person cancels the waits, and the standby is promoted", short=1,
       long=6, missing=missing, limit=180, epilogue=False)  # fmt: skip
def waits_cancelled(arena: Arena, rounds: int) -> None:
    """The server then says OK, although nobody else has the record."""
    database = Database.of(arena)
    for _ in range(rounds):
        standby = database.standby(is_synchronous=True)
        workers = arena.house.hire(2)
        arena.wait_standing(arena.ask(HALF), "done")
        arena.judge.mode(arena.hold_answers())
        with standby.silent():
            names = {task: arena.producer.names(HALF) for task in ("strike", "sure")}
            for task, some in names.items():
                arena.producer.ask_for(task, some)
            with arena.fault():
                until(database.cancel_waits, 30, "a commit to wait for the standby")
                for _ in range(20):
                    database.cancel_waits()
                    arena.last(0.1)
                keys = [f"{task}:{name}" for task, some in names.items() for name in some]
                sent = set(keys) & set(arena.judge.asked())
                arena.check(f"nothing was sent: {len(sent)} of {len(keys)}", not sent)
                database.server.kill9()
                for worker in workers:
                    worker.kill9()
                arena.let_go()
        database.promote(standby)
        database.remove_copy()
        arena.valkey.client().flushall()
        recover(arena)
        workers = arena.house.hire(2)
        ask_again(arena, keys)
        arena.rest(90)
        for worker in workers:
            worker.kill9()
    arena.house.hire()


def older_backup(database: Database) -> None:
    """Put back what the table was a while ago, as docs/shared-journal.md says."""
    database.server.sql(
        "DELETE FROM gatehouse_journal WHERE seq > (SELECT max(seq) - 40 FROM gatehouse_journal); TRUNCATE gatehouse_incarnation"
    )


def emptied(database: Database) -> None:
    """Drop the tables, as the database does that somebody dropped and created again: the workers make them anew."""
    database.server.sql(
        "DROP TABLE gatehouse_journal, gatehouse_incarnation, gatehouse_about, gatehouse_import, gatehouse_archive"
    )


LOSSES: tuple[Callable[[Database], None], ...] = (older_backup, emptied, Database.remove_copy)


@fault("F44", "an older copy of the database, or an empty one, takes its place, or the copy of this host is removed, and then Redis is emptied",
       short=3, long=9, missing=missing, limit=180)  # fmt: skip
def database_fell_back(arena: Arena, rounds: int) -> None:
    database = Database.of(arena)
    arena.house.hire(2)
    for number in range(rounds):
        before = arena.ask(HALF)
        arena.wait_standing(before, "done")
        keys = hold_both(arena)
        with arena.fault():
            LOSSES[number % len(LOSSES)](database)
        arena.let_go()
        arena.wait_standing(arena.ask(1), "done", deadline=60)
        arena.valkey.client().flushall()
        recover(arena)
        ask_again(arena, [*before, *keys])
        arena.rest(90)
