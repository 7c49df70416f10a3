"""The options of a call: a short list is supported, and every other one is refused with one sentence."""

from __future__ import annotations

import inspect
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.amqp import AMQP
from kombu import Producer, Queue

from gatekeeper.errors import InvalidArguments, UnsupportedOption
from gatekeeper.policies.spec import TaskSpec
from state.options import Options, from_json
from tests.scripts.poster import a_gate
from workers import options
from workers.options import CallOptions

DEFAULT = "celery"


@pytest.fixture(scope="module")
def gate() -> TaskSpec:
    return a_gate()


def read(gate: TaskSpec, **given: Any) -> CallOptions:
    return options.read(gate, given, DEFAULT)


# Supported


def test_without_options_a_call_runs_now_in_the_default_queue(gate: TaskSpec) -> None:
    asked = read(gate)

    assert (asked.delay_ms, asked.expires_ms, asked.options, asked.sending) == (0, 0, Options(), {})
    assert asked.call != read(gate).call


@pytest.mark.parametrize("nothing", [None, "", {}, [], ()])
def test_an_empty_option_is_ignored(gate: TaskSpec, nothing: Any) -> None:
    given = dict.fromkeys([*options.REFUSED, "queue", "priority", "countdown", "eta", "expires", "task_id"], nothing)

    assert options.read(gate, given, DEFAULT).options == Options()


def test_queue_and_priority_are_kept(gate: TaskSpec) -> None:
    said = read(gate, queue="slowq", priority=3, ignore_result=True).options

    assert from_json(said.as_json()) == Options("slowq", 3, ignore_result=True)
    assert (said.lane, read(gate, priority=0).options.lane) == ("slowq/3", "/0")


@pytest.mark.parametrize("queue", [DEFAULT, Queue(DEFAULT)])
def test_the_default_queue_by_its_name_is_the_default_queue(gate: TaskSpec, queue: Any) -> None:
    assert read(gate, queue=queue).options.as_json() == ""


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        ({"countdown": 1.5}, 1500),
        ({"countdown": -1}, 0),
        ({"eta": datetime(2020, 1, 1, tzinfo=UTC)}, 0),
        ({"eta": "2020-01-01T00:00:00Z"}, 0),
        ({"eta": datetime(2020, 1, 1), "countdown": 7}, 0),  # noqa: DTZ001 - a date without a zone is UTC
    ],
)
def test_a_delay_is_seconds_or_a_date(gate: TaskSpec, given: dict[str, Any], ms: int) -> None:
    assert read(gate, **given).delay_ms == ms


def test_a_date_is_counted_from_now(gate: TaskSpec) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)

    assert 50_000 < read(gate, eta=soon).delay_ms <= 60_000
    assert 50_000 < read(gate, expires=soon.isoformat()).expires_ms <= 60_000
    assert read(gate, expires=-5).expires_ms == 1, "what has expired is refused, not kept for ever"


def test_the_limits_of_the_task_itself_are_not_refused(gate: TaskSpec) -> None:
    """`Task.apply_async` passes them with every call."""
    assert options.read(gate, {"serializer": "json", **gate.time_limits}, DEFAULT).options == Options()


# Refused


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"id": "another"}},
        {"serializer": "nosuch"},
        {"serializer": "pickle"},
        {"serializer": 7},
        {"compression": "zlib"},
        {"time_limit": 7},
        {"soft_time_limit": 7},
        {"exchange": "other"},
        {"routing_key": "slowq"},
        {"shadow": "another.task"},
        {"chord": {"task": "storyteller.publish"}},
        {"stamped_headers": ["a"], "a": 1},
        {"retries": 2},
        {"retry_policy": {"max_retries": None}},
        {"expiration": 5},
        {"connection": "redis://elsewhere"},
        {"argsrepr": "()"},
        {"origin": "somebody"},
        {"producer": "me"},
        {"nosuch": 1},
        {"task_id": 7},
        {"task_id": "a\nb"},
        {"task_id": "a" * 256},
        {"task_id": "tick:publish:2026-11-22T11:30:00Z"},
        {"task_id": "hook:github:1"},
        {"queue": 7},
        {"queue": ["slowq"]},
        {"queue": "gate:{publisher}:story:hello"},
        {"queue": "slow/3"},
        {"queue": "slow q"},
        {"queue": "_kombu.binding.celery"},
        {"queue": "unacked_index"},
        {"queue": "q" * 65},
        {"priority": "high"},
        {"priority": 1.0},
        {"priority": True},
        {"priority": -1},
        {"priority": 10},
        {"priority": math.nan},
        {"ignore_result": "yes"},
        {"retry": 1},
        {"countdown": math.nan},
        {"countdown": math.inf},
        {"countdown": 1e300},
        {"countdown": True},
        {"countdown": "60"},
        {"countdown": [1]},
        {"eta": "tomorrow"},
        {"eta": timedelta(1)},
        {"expires": "soon"},
        {"expires": {}} | {"expires": {"a": 1}},
    ],
)
def test_anything_else_is_refused_with_one_sentence(gate: TaskSpec, given: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedOption) as refused:
        options.read(gate, given, DEFAULT)

    assert isinstance(refused.value, InvalidArguments), "so that every door answers it as it answers wrong arguments"
    words = str(refused.value)
    assert words.startswith(f"{gate.name}: ")
    assert "\n" not in words
    assert len(words) < 400


def test_an_option_that_nobody_knows_is_answered_with_the_list(gate: TaskSpec) -> None:
    with pytest.raises(UnsupportedOption, match=r"'queues' is not an option; supported are: .*countdown.*queue"):
        read(gate, queues="slowq")


# Celery's own list


def celery_options() -> set[str]:
    """Every option that Celery itself names, wherever a caller may give it."""
    named = {
        name
        for function in (
            Celery.send_task,
            Task.apply_async,
            AMQP.as_task_v2,
            AMQP(Celery(set_as_current=False)).send_task_message,
            Producer.publish,
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    }
    return named | {"priority", "ignore_result", "stamped_headers", "immediate"}


#: Parameters of those functions that are no options of a call.
NO_OPTIONS = {
    "self", "name", "args", "kwargs", "message", "body", "now", "timezone", "create_sent_event", "callbacks", "errbacks",
    "content_type", "content_encoding", "on_return",
}  # fmt: skip


def test_every_option_of_celery_is_supported_or_refused_with_a_reason() -> None:
    known = options.SUPPORTED | options.REFUSED.keys() | options.IGNORED

    assert celery_options() - NO_OPTIONS - known == set()
    assert not options.SUPPORTED & options.REFUSED.keys()
