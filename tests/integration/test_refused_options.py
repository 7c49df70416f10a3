"""A caller who gets an exception has made no call, and a call that is accepted raises nothing."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

STORYTELLER = Keys("storyteller")

#: What would let a caller write what the gate writes, or what cannot be encoded or sent.
REFUSED = [
    "serializer='nosuch'",
    "headers={'id': 'another'}",
    "headers={'a': object()}",
    "queue=7",
    "queue='gate:{storyteller}:story:refused'",
    "priority='high'",
    "compression='nosuch'",
    "exchange='elsewhere', routing_key='elsewhere'",
    "time_limit=1",
    "expires='soon'",
    "countdown=float('nan')",
    "task_id='tick:publish:2026-11-22T11:30:00Z'",
    "reply_to='me', shadow='another', nosuch=1",
]


def problem_of(shell: Shell, call: str) -> list[Any]:
    """The types of the exception that a door raises, and its words; fails if it raises none."""
    found: list[Any] = shell.run(
        f"""
        try:
            {call}
        except Exception as error:
            answer = [[kind.__name__ for kind in type(error).__mro__], str(error)]
        """
    )
    assert found, f"{call} raised nothing"
    return found


@pytest.mark.parametrize("options", REFUSED)
@pytest.mark.parametrize(
    "door",
    [
        "app.tasks['storyteller.publish'].apply_async(kwargs={{'post_id': 'refused'}}, {options})",
        "app.send_task('storyteller.publish', kwargs={{'post_id': 'refused'}}, {options})",
        "app.signature('storyteller.publish', kwargs={{'post_id': 'refused'}}).set({options}).apply_async()",
    ],
)
def test_what_a_door_refuses_is_not_registered(shell: Shell, store: redis.Redis, door: str, options: str) -> None:
    kinds, words = problem_of(shell, door.format(options=options))

    assert "InvalidArguments" in kinds, words
    assert words.startswith("storyteller.publish: ")
    assert store.exists(STORYTELLER.key("story:refused"), STORYTELLER.queued, STORYTELLER.waiting) == 0
    assert store.exists("celery") == 0


@pytest.mark.parametrize("option", [("--serializer", "pickle"), ("--exchange", "x"), ("--routing-key", "slowq")])
def test_celery_call_says_in_one_line_what_it_refuses(
    shell: Shell, store: redis.Redis, option: tuple[str, str]
) -> None:
    done = shell.celery("call", "storyteller.publish", "--kwargs", '{"post_id": "refused"}', *option)

    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: storyteller.publish: option '")
    assert store.exists(STORYTELLER.key("story:refused")) == 0


@pytest.mark.parametrize("name", ["map", "starmap"])
def test_many_calls_in_one_message_are_refused(shell: Shell, name: str) -> None:
    kinds, words = problem_of(shell, f"app.tasks['storyteller.publish'].{name}([['a'], ['b']]).apply_async()")

    assert kinds[0] == "UnsupportedOption"
    assert "make a group" in words


def test_arguments_that_are_one_text_are_refused(shell: Shell) -> None:
    kinds, words = problem_of(shell, "app.send_task('storyteller.publish', args='abc')")

    assert "InvalidArguments" in kinds
    assert words == "storyteller.publish: positional arguments are a list, not str"


def test_a_call_whose_message_cannot_be_sent_raises_nothing_and_runs(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    """Whatever the broker answers: here its queue is a key of another kind, which Celery does not expect."""
    effect_server.clear()
    store.set("celery", "no list")
    calls = shell.delay("storyteller.publish", {"post_id": "unsent"})
    calls += [shell.run("answer = app.send_task('storyteller.publish', ['unsent too'], retry=False).id")]
    assert [store.hget(STORYTELLER.call(call), "state") for call in calls] == ["queued"] * 2
    store.delete("celery")
    for call in calls:
        store.zadd(STORYTELLER.queued, {call: 1}, xx=True)

    house.worker(concurrency=2)

    assert all(house.answer(call)["ok"] for call in calls)
    assert effect_server.counts() == {"story:unsent": 1, "story:unsent too": 1}
    assert until(lambda: store.zcard(STORYTELLER.queued) == 0, what="nothing to be left in the queue")
