"""The connections of scripts: kept for a moment, and never shared with a child or with an answer that nobody read."""

from __future__ import annotations

import os
from typing import Any

import pytest

from state.redis import script
from state.redis.script import Script
from tests.scripts.poster import Poster

checkpoint = Script("checkpoint")


class Interrupted(BaseException):
    """A time limit that ends a task between a command and its answer."""


def run(poster: Poster) -> list[Any]:
    return checkpoint(poster.redis, poster.n.of("KEY"), owner="owner/1", fence=1, name="container", value="17")


def kept(poster: Poster) -> Any:
    connection, _ = script._recent[poster.redis.connection_pool][-1]
    return connection


def test_a_script_that_runs_right_after_another_uses_the_same_connection(poster: Poster) -> None:
    run(poster)
    first = kept(poster)
    run(poster)

    assert kept(poster) is first


def test_an_answer_that_was_not_read_does_not_reach_the_next_script(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(poster)
    poster.redis.hset(poster.n.key("KEY"), "state", "odd")
    monkeypatch.setattr(kept(poster), "read_response", interrupt)
    with pytest.raises(Interrupted):
        run(poster)
    monkeypatch.undo()
    poster.redis.hset(poster.n.key("KEY"), "state", "done")

    assert run(poster) == ["lost", "done"]


def interrupt() -> None:
    raise Interrupted


def test_a_connection_that_was_idle_for_long_is_checked_by_the_pool(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "RECENT", 0.0)
    run(poster)
    pool = poster.redis.connection_pool
    checked: list[Any] = []
    original = pool.get_connection

    def check() -> Any:
        checked.append(original())
        return checked[-1]

    monkeypatch.setattr(pool, "get_connection", check)
    run(poster)

    assert checked == [kept(poster)]


def test_a_connection_that_the_server_closed_a_moment_ago_is_opened_again(poster: Poster) -> None:
    run(poster)
    poster.redis.client_kill_filter(skipme=True)

    assert run(poster) == ["lost", "gone"]


def test_a_child_does_not_use_the_connection_of_its_parent(poster: Poster) -> None:
    run(poster)
    child = os.fork()
    if not child:
        answered = run(poster) == ["lost", "gone"] and kept(poster).pid == os.getpid()
        os._exit(0 if answered else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert run(poster) == ["lost", "gone"]
