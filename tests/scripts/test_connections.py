"""The connections of scripts: none is shared with a child, or has an answer that nobody read, or was closed by the server."""

from __future__ import annotations

import os
from typing import Any

import pytest

from state.redis.script import Script
from tests.scripts.poster import Poster

checkpoint = Script("checkpoint")


class Interrupted(BaseException):
    """A time limit that ends a task between a command and its answer."""


def run(poster: Poster) -> list[Any]:
    return checkpoint(poster.redis, poster.n.of("KEY"), owner="owner/1", fence=1, name="container", value="17")


def test_an_answer_that_was_not_read_does_not_reach_the_next_script(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(poster)
    poster.redis.hset(poster.n.key("KEY"), "state", "odd")
    pool = poster.redis.connection_pool
    connection = pool.get_connection()
    pool.release(connection)
    monkeypatch.setattr(connection, "read_response", interrupt)
    with pytest.raises(Interrupted):
        run(poster)
    monkeypatch.undo()
    poster.redis.hset(poster.n.key("KEY"), "state", "done")

    assert run(poster) == ["lost", "done"]


def interrupt() -> None:
    raise Interrupted


def test_a_connection_that_the_server_closed_a_moment_ago_is_opened_again(poster: Poster) -> None:
    run(poster)
    poster.redis.client_kill_filter(skipme=True)

    assert run(poster) == ["lost", "gone"]


def test_a_child_does_not_use_the_connection_of_its_parent(poster: Poster) -> None:
    run(poster)
    child = os.fork()
    if not child:
        os._exit(0 if run(poster) == ["lost", "gone"] else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert run(poster) == ["lost", "gone"]
