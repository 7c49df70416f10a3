"""What follows a call is started once, after its real end: `link`, `link_error`, chains and groups."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
import redis
from celery import Celery

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

CLERK, STORYTELLER, COUNTER = Keys("clerk"), Keys("storyteller"), Keys("counter")

#: Names for the snippets: `follow(name)` leaves a note of what it was given.
SNIPPET = """
from celery import chain, chord, group
tasks = app.tasks
add, flaky, complain = tasks["counter.add"], tasks["clerk.flaky"], tasks["clerk.complain"]
publish, paced, hourly = tasks["storyteller.publish"], tasks["clerk.paced_once"], tasks["clerk.hourly"]
def follow(name): return tasks["clerk.follow"].s(name=name)
"""


@pytest.fixture
def workers(house: Install) -> None:
    """Two workers, whose sweepers look for the same calls at the same time."""
    running = [process for process in house.processes if process.alive]
    house.workers(2 - len(running), concurrency=2)


@pytest.fixture
def no_worker(house: Install) -> None:
    for process in house.processes:
        process.kill9()


def run(shell: Shell, code: str, **names: Any) -> Any:
    return shell.run(SNIPPET + textwrap.dedent(code), **names)


def settled(store: redis.Redis) -> None:
    """Wait until nothing is left to do: no call is open, and none has followers that were not started."""

    def is_quiet() -> bool:
        names = [(n.queued, n.waiting, n.running, n.followed) for n in (CLERK, STORYTELLER, COUNTER)]
        return bool(store.exists(*[name for group in names for name in group]) == 0)

    until(is_quiet, 30, "every call and its followers to be over")


@pytest.mark.usefixtures("workers")
def test_a_follower_runs_once_after_the_attempt_that_went_well(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    run(shell, "flaky.apply_async(('retried', 2), link=follow('retried'), link_error=follow('retried-error'))")

    settled(store)

    assert house.notes("retried") == ["tried", "tried", "tried", "after 3"]
    assert house.notes("retried-error") == []


@pytest.mark.usefixtures("workers")
def test_a_follower_in_case_of_an_error_runs_once_after_the_last_attempt(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    call = run(
        shell, "answer = flaky.apply_async(('fails', 9), link=follow('fails-not'), link_error=follow('fails')).id"
    )

    settled(store)

    assert house.notes("fails") == ["tried", "tried", "tried", f'after "{call}"']
    assert house.notes("fails-not") == []


@pytest.mark.usefixtures("workers")
def test_a_follower_of_a_deferred_call_runs_after_it(house: Install, shell: Shell, store: redis.Redis) -> None:
    run(shell, "[paced.apply_async((number,), link=follow('paced_once')) for number in range(6)]")

    settled(store)

    lines = house.notes("paced_once")
    assert sorted(lines) == sorted([f"{number}" for number in range(6)] + [f"after {number}" for number in range(6)])
    assert all(lines.index(f"{number}") < lines.index(f"after {number}") for number in range(6))


@pytest.mark.usefixtures("workers")
def test_a_call_that_waits_is_followed_by_nothing(house: Install, shell: Shell, store: redis.Redis) -> None:
    first, second = run(
        shell, "answer = [hourly.apply_async((n,), link=follow('hour'), link_error=follow('hour')).id for n in (1, 2)]"
    )
    until(lambda: {store.hget(CLERK.call(call), "state") for call in (first, second)} == {"done", "waiting"})
    until(lambda: len(house.notes("hour")) == 1, what="the follower of the one that ran")

    [waits] = until(
        lambda: (left := store.zrange(CLERK.followed, 0, -1)) and len(left) == 1 and left, what="the other to be let go"
    )
    house.gate("resolve", house.explain(waits)["key"], "--cancel", "--why", "nobody waits an hour for a test")
    until(lambda: len(house.notes("hour")) == 2, what="the follower in case of an error")

    assert house.notes("hour")[1] == f'after "{waits}"'


@pytest.mark.usefixtures("workers")
def test_a_chain_hands_the_result_on(house: Install, shell: Shell, store: redis.Redis) -> None:
    last = run(shell, "answer = (add.s(1, 2) | add.s(10) | add.si(5, 5) | add.s(100)).apply_async().id")

    assert house.answer(last)["result"] == 110
    settled(store)


@pytest.mark.usefixtures("workers")
def test_effects_in_a_chain_happen_once_and_in_order(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.clear()
    last = run(shell, "answer = chain(*[publish.si(f'part {n}') for n in (1, 2, 3)]).apply_async().id")

    assert house.answer(last)["ok"]
    settled(store)

    assert [row["key"] for row in effect_server.rows()] == ["story:part 1", "story:part 2", "story:part 3"]


@pytest.mark.usefixtures("workers")
def test_a_chain_that_breaks_says_so_to_whoever_waits_for_its_end(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    broken, last = run(
        shell,
        """
        made = chain(add.s(1, 1), complain.si("broken"), add.s(1), follow("never")).on_error(follow("broke")).apply_async()
        answer = [made.parent.parent.id, made.id]
        """,
    )

    answer = house.answer(last)
    settled(store)

    assert (answer["error"], answer["stage"], answer["before"]) == (
        "the call before it gave no result",
        "chain",
        broken,
    )
    assert house.explain(last)["state"] == "rejected"
    assert house.notes("never") == []
    assert house.notes("broke") == [f'after "{broken}"']


@pytest.mark.usefixtures("workers")
def test_a_follower_that_the_result_does_not_fit_is_refused_in_words(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    last = run(
        shell, "answer = (follow('odd').clone(('text',)) | add.s(1).on_error(follow('odd-error'))).apply_async().id"
    )

    answer = house.answer(last)
    settled(store)

    assert (answer["error"], answer["stage"]) == ("invalid arguments", "input")
    assert house.explain(last)["state"] == "rejected"
    assert house.notes("odd-error") == [f'after "{last}"']


@pytest.mark.usefixtures("workers")
def test_a_group_runs_each_of_its_members_and_may_follow(house: Install, shell: Shell, store: redis.Redis) -> None:
    members, follows = run(
        shell,
        """
        members = [one.id for one in group(add.s(n, n) for n in range(3)).apply_async().results]
        made = chain(add.s(1, 1), group(add.s(10), add.s(20), add.s(30) | add.s(1))).apply_async()
        answer = [members, [one.id for one in made.results]]
        """,
    )

    assert [house.answer(call)["result"] for call in members] == [0, 2, 4]
    assert [house.answer(call)["result"] for call in follows] == [12, 22, 33]
    settled(store)


@pytest.mark.usefixtures("workers")
def test_a_flawed_call_is_followed_by_nothing(house: Install, shell: Shell, store: redis.Redis) -> None:
    """Its effect stands, so it did not fail; and it has no result to hand on."""
    run(shell, "publish.apply_async(('flawed', 'fails'), link=follow('flawed'), link_error=follow('flawed'))")

    settled(store)

    assert house.explain("story:flawed")["state"] == "done"
    assert house.notes("flawed") == []


@pytest.mark.usefixtures("workers")
def test_one_signature_follows_two_calls_twice(house: Install, shell: Shell, store: redis.Redis) -> None:
    run(shell, "after = follow('twice')\n[add.apply_async((n, 0), link=after) for n in (1, 2)]")

    settled(store)

    assert sorted(house.notes("twice")) == ["after 1", "after 2"]


@pytest.mark.usefixtures("workers")
def test_a_follower_has_its_own_options(house: Install, shell: Shell, store: redis.Redis) -> None:
    run(shell, "add.apply_async((1, 1), link=add.s(1).set(queue='nobody', priority=3).on_error(follow('x')))")

    until(lambda: store.llen("nobody\x06\x163") == 1, what="the follower's message in its queue")
    store.delete("nobody\x06\x163", CLERK.followed, COUNTER.followed, COUNTER.queued)


@pytest.mark.usefixtures("workers")
def test_a_call_that_a_person_runs_again_is_followed_when_it_ends_well(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    call = run(shell, "answer = flaky.apply_async(('again', 3), link=follow('again'), link_error=follow('again')).id")
    settled(store)
    assert house.notes("again")[3:] == [f'after "{call}"']

    house.gate("replay", call)

    until(lambda: len(house.notes("again")) == 6, 20, "the follower of the replayed call")
    settled(store)
    assert house.notes("again")[4:] == ["tried", "after 5"]


@pytest.mark.usefixtures("no_worker")
def test_a_worker_that_dies_right_after_the_end_loses_no_follower_and_doubles_none(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    """Whoever ended the call is gone; it even started the follower, and nobody knows."""
    effect_server.clear()
    call = run(
        shell,
        """
        from gatekeeper.run import pipeline
        from state.ledger import Ledger
        from workers.followers import start
        answer = publish.apply_async(('before',), link=[publish.si('after'), add.si(1, 1)], task_id='dies').id
        pipeline.run(publish.spec, ('before',), {}, call_id='dies', origin='message')
        for _ in range(3):
            for of in Ledger().ended('storyteller'):
                start(app, of)
        """,
    )
    assert store.zscore(STORYTELLER.followed, call) is not None

    house.workers(2, concurrency=2)
    settled(store)

    assert effect_server.counts() == {"story:before": 1, "story:after": 1}
    assert effect_server.arrived() == 2


@pytest.mark.slow
@pytest.mark.usefixtures("no_worker")
def test_followers_survive_a_loss_of_redis(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    """Of a call that waits, of one that is done and not followed yet, and not twice of one that was followed."""
    effect_server.clear()
    run(
        shell,
        """
        from gatekeeper.run import pipeline
        publish.apply_async(('waits',), link=publish.si('after waits'), countdown=3600)
        publish.apply_async(('done',), link=publish.si('after done'), task_id='done')
        pipeline.run(publish.spec, ('done',), {}, call_id='done', origin='message')
        followed = publish.apply_async(('followed',), link=add.si(7, 7)).id
        """,
    )
    store.hset(STORYTELLER.agent_meta, "x", 1)
    store.flushall()
    house.gate("recover")
    assert store.zcard(STORYTELLER.followed) == 3
    for call in store.zrange(STORYTELLER.waiting, 0, -1):
        store.zadd(STORYTELLER.waiting, {call: 1}, xx=True)

    house.workers(2, concurrency=2)
    settled(store)

    whole = {f"story:{name}": 1 for name in ("waits", "after waits", "done", "after done", "followed")}
    assert effect_server.counts() == whole
    adds = list(store.scan_iter("gate:{counter}:call:*"))
    store.flushall()
    house.gate("recover")
    assert store.zcard(STORYTELLER.followed) == 0, "what was followed is not followed again"
    assert adds


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("chord([add.s(1, 1), add.s(2, 2)])(follow('chord'))", "'chord' is not supported"),
        ("(group(add.s(1, 1), add.s(2, 2)) | follow('chord')).apply_async()", "'chord' is not supported"),
        ("(add.s(1, 1) | group(add.s(1), add.s(2)) | follow('chord')).apply_async()", "A chord is not supported"),
        ("add.apply_async((1, 1), link=chord([add.s(1)], follow('chord')))", "A chord is not supported"),
        ("add.apply_async((1, 1), link=add.map([1, 2]))", "not a task with @gatekeeper.task"),
        ("add.apply_async((1, 1), link=app.signature('celery.backend_cleanup'))", "not a task with @gatekeeper.task"),
        ("add.apply_async((1, 1), link=app.signature('nobody.knows'))", "not a task with @gatekeeper.task"),
        ("add.apply_async((1, 1), link='counter.add')", "is not a signature"),
        ("add.apply_async((1, 1), link=[{'task': 7}])", "is not a signature"),
        ("add.apply_async((1, 1), link=add.si(1))", "missing a required argument: 'b'"),
        ("add.apply_async((1, 1), link=add.s(float('nan')))", "cannot be written as JSON"),
        ("add.apply_async((1, 1), link=add.s(object()))", "cannot be written as JSON"),
        ("add.apply_async((1, 1), link=add.s(1).set(headers={'id': 'other'}))", "'headers' is not supported"),
        ("add.apply_async((1, 1), link_error=add.s(1).set(queue=7))", "cannot name a queue"),
        ("add.apply_async((1, 1), link=add.s('x' * 300_000))", "characters long"),
        ("add.apply_async((1, 1), chain=[{'task': 'counter.add', 'options': {'serializer': 'x'}}])", "'serializer'"),
        ("add.s(1, 1).stamp(mark='me').apply_async()", "'stamped_headers' is not supported"),
        ("chain(add.s(1, 1), add.s(1).set(shadow='other')).apply_async()", "'shadow' is not supported"),
    ],
)
@pytest.mark.usefixtures("no_worker")
def test_what_cannot_follow_is_refused_at_the_door_and_nothing_is_registered(
    shell: Shell, store: redis.Redis, code: str, words: str
) -> None:
    before = store.dbsize()

    found = run(
        shell,
        f"""
        from gatekeeper.errors import InvalidArguments
        import warnings
        warnings.simplefilter("ignore")
        try:
            {code}
        except InvalidArguments as error:
            answer = str(error)
        """,
    )

    assert words in str(found)
    assert store.exists(COUNTER.queued, COUNTER.waiting, COUNTER.followed) == 0
    assert store.dbsize() <= before + 1, "Celery's own size of a chord at most"


@pytest.mark.parametrize(
    "members",
    [
        "group(add.s(1, 1), add.s(2, 2), add.s('three', 3)).apply_async()",
        "group(add.s(1, 1), add.s(2, 2).set(queue=7)).apply_async()",
        "group(add.s(1, 1), add.s(2, 2)).apply_async(headers={'id': 'other'})",
        "group(add.s(1, 1), add.s(2, 2) | add.si(1)).apply_async()",
        "group(add.s(1, 1), group(add.s(2, 2), add.s())).apply_async()",
        "group(add.s(1), add.s('x')).apply_async((1,))",
        "add.chunks([(1, 1), (2, 2)], 1).apply_async()",
    ],
)
@pytest.mark.usefixtures("no_worker")
def test_a_group_with_one_wrong_member_calls_none(shell: Shell, store: redis.Redis, members: str) -> None:
    before = set(store.scan_iter(count=1000))

    with pytest.raises(AssertionError, match=r"InvalidArguments|UnsupportedOption"):
        run(shell, members)

    assert store.exists(COUNTER.queued, COUNTER.waiting, COUNTER.followed) == 0
    assert set(store.scan_iter(count=1000)) <= before


@pytest.mark.usefixtures("workers")
def test_the_rest_of_a_chain_whose_next_call_a_person_revoked_is_refused(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    last, middle, first = run(
        shell,
        """
        made = chain(flaky.s("revoked", 1).set(countdown=3600), add.si(1, 1), add.si(2, 2)).apply_async()
        made.parent.revoke()
        answer = [made.id, made.parent.id, made.parent.parent.id]
        """,
    )
    assert store.zadd(CLERK.waiting, {first: 1}, xx=True, ch=True) == 1

    answer = house.answer(last)
    settled(store)

    assert (answer["stage"], answer["before"], answer["state"]) == ("chain", middle, "cancelled")


@pytest.mark.usefixtures("workers")
def test_followers_in_a_strangers_message_are_dropped_and_told(
    house: Install, store: redis.Redis, stranger: Celery, effect_server: EffectServer
) -> None:
    """Celery would start them when the message is over, deferred or not."""
    effect_server.clear()
    follows = stranger.signature("storyteller.publish", args=["stranger after"], immutable=True)
    call = stranger.send_task("storyteller.publish", ["stranger"], link=follows, link_error=follows).id

    assert house.answer(call)["ok"]
    settled(store)

    assert effect_server.counts() == {"story:stranger": 1}
    told = [line for process in house.processes for line in process.events("followers dropped")]
    assert [(line["call"], line["carried"]) for line in told] == [(call, ["callbacks", "errbacks"])]


@pytest.mark.parametrize("method", ["retry", "replace", "add_to_chord"])
def test_a_task_that_would_replace_its_call_is_told_what_to_do(shell: Shell, method: str) -> None:
    found = run(
        shell,
        f"""
        try:
            add.{method}(None)
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        """,
    )

    assert found[0] == "UnsupportedOption"
    assert f"{method}() is not supported" in found[1]
