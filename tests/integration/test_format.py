"""A Redis that a newer version of Gatehouse wrote is refused by every process; one without a format is taken over."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from redis import Redis

from state.redis_format import FIRST, FORMAT, key
from tests.harness import Install, Valkey, until
from web.redis_format import START_SECONDS

SENTENCE = f"Redis holds data of format {FORMAT + 1}, and this version of Gatehouse reads up to format {FORMAT}"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", [Install.worker, Install.beat, Install.web], ids=["worker", "beat", "web"])
def test_a_process_does_not_start_on_the_data_of_a_newer_version(
    house: Install, store: Redis, start: Callable[[Install], object]
) -> None:
    store.set(key(), FORMAT + 1)

    with pytest.raises(AssertionError):
        start(house)
    process = house.processes[-1]

    assert process.wait() == 1
    assert f"gatehouse: {SENTENCE}" in process.output
    assert "Traceback" not in process.output


def test_no_command_touches_the_data_of_a_newer_version(house: Install, store: Redis) -> None:
    store.set(key(), FORMAT + 1)

    done = house.celery("gate", "pause", "storyteller", "--why", "to see")

    assert done.returncode == 1
    assert done.stderr.startswith(SENTENCE)
    assert not store.keys("gate:{storyteller}:*")


def test_processes_that_run_already_end_when_a_newer_version_has_taken_the_data_over(
    house: Install, store: Redis
) -> None:
    store.delete(key())
    worker, beat = house.worker(), house.beat()
    until(lambda: store.get(key()) == str(FIRST), 5, "the format to be written into a Redis without one")

    store.set(key(), FORMAT + 1)

    assert (worker.wait(15), beat.wait(15)) == (1, 0)  # Celery makes 0 of whatever ends beat
    for process in (worker, beat):
        assert SENTENCE in process.events("data of a newer version")[0]["error"]


def test_a_web_process_that_started_without_redis_ends_when_redis_comes_with_newer_data(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = install_on(fragile_valkey)
    fragile_valkey.client().set(key(), FORMAT + 1)
    fragile_valkey.stop()
    web = install.web()

    fragile_valkey.start()

    assert web.wait(20) == 1
    assert SENTENCE in web.events("data of a newer version")[0]["error"]


def test_a_redis_that_never_answers_does_not_delay_the_web_process(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = install_on(fragile_valkey)
    fragile_valkey.pause()
    try:
        program = (
            "import time, web.redis_format as it; began = time.monotonic(); it.watch(); print(time.monotonic() - began)"
        )
        seconds = float(install.python(program))
    finally:
        fragile_valkey.resume()

    assert seconds < 2 * START_SECONDS


def test_a_journal_of_a_newer_version_closes_effects_and_nothing_else(house: Install, store: Redis) -> None:
    store.delete(key())
    month = house.state_dir / "journal" / f"{datetime.now(UTC):%Y-%m}.jsonl"
    month.parent.mkdir(mode=0o700, exist_ok=True)
    body = b'{"at":"2026-11-01T00:00:00.000Z","event":"probe","v":3'
    with month.open("ab") as file:
        file.write(b'%b,"sum":"%08x"}\n' % (body, zlib.crc32(body + b"}")))
    worker = house.worker()

    done = house.celery("call", "counter.add", "--kwargs", '{"a": 1, "b": 2}', "--countdown", "0.5")

    assert house.answer(done.stdout.strip())["result"] == 3
    assert "start the version that wrote them" in worker.wait_for("effects are closed")["why"]
    assert not worker.events("sweep failed")


@pytest.mark.parametrize(
    ("holds", "says"), [(1, "so does the version before"), (2, "versions that read less refuse it")]
)
def test_commands_say_which_formats_are_read_and_which_one_redis_holds(
    house: Install, store: Redis, holds: int, says: str
) -> None:
    store.set(key(), holds)

    version, doctor = house.celery("gate", "--version"), house.celery("gate", "doctor", "--json")

    assert version.stdout.endswith(f", reads data up to format {FORMAT}\n")
    [found] = [finding for finding in json.loads(doctor.stdout) if finding["check"] == "redis format"]
    assert found["ok"]
    assert found["found"] == f"{holds}; this version reads up to {FORMAT}, and {says}"
