"""The connections of scripts: none is shared with a child, or has an answer that nobody read, or was closed by the server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from state.redis import spare
from state.redis.script import Script
from tests.harness import until
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
    connection = spare.take(pool)
    spare.keep(pool, connection)
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


def test_scripts_one_after_another_use_one_connection_and_the_pool_closes_it(poster: Poster) -> None:
    run(poster)
    connection = spare.take(poster.redis.connection_pool)
    spare.keep(poster.redis.connection_pool, connection)

    run(poster)

    assert spare.take(poster.redis.connection_pool) is connection
    assert connection.is_connected
    poster.redis.connection_pool.disconnect()
    assert not connection.is_connected


def test_scripts_of_many_threads_never_share_a_connection(
    poster: Poster, together: Callable[[int, Callable[[int], Any]], list[Any]]
) -> None:
    def many(number: int) -> set[str]:
        key = f"KEY-{number}"
        poster.redis.hset(poster.n.key(key), "state", key)
        found = [
            checkpoint(poster.redis, poster.n.of(key), owner="o", fence=1, name="n", value="v")[1] for _ in range(200)
        ]
        return set(map(str, found))

    assert together(8, many) == [{f"KEY-{number}"} for number in range(8)]


def test_a_spare_connection_with_an_answer_that_nobody_read_is_opened_again(poster: Poster) -> None:
    connection = spare.take(poster.redis.connection_pool)
    connection.send_command("ECHO", "of another")
    until(connection.can_read, what="the answer to arrive")
    spare.keep(poster.redis.connection_pool, connection)

    assert run(poster) == ["lost", "gone"]


def test_a_child_takes_no_spare_connection_of_its_parent(poster: Poster) -> None:
    run(poster)
    child = os.fork()
    if not child:
        os._exit(0 if spare.take(poster.redis.connection_pool).pid == os.getpid() else 1)

    assert os.waitpid(child, 0)[1] == 0
