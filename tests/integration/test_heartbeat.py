"""A lease is a hint about life: who lives keeps it, who is gone loses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import Install, Valkey, until

#: Well past the lease of two seconds, so that several sweeps look at it.
LONG = 6.0


@pytest.fixture
def dawdlers(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "dawdler"
    return install


def test_an_attempt_longer_than_its_lease_keeps_its_claim(dawdlers: Install) -> None:
    dawdlers.worker("threads", concurrency=4)

    [call] = dawdlers.delay("dawdler.dawdle", {"n": 1, "seconds": LONG})

    assert dawdlers.answer(call)["ok"]
    assert len(list(dawdlers.notes_dir.glob("start-1-*"))) == 1
    assert dawdlers.explain("dawdle:1")["attempts"] == 1


def test_an_attempt_whose_process_is_stopped_loses_its_claim_to_another(dawdlers: Install) -> None:
    first = dawdlers.worker("threads", concurrency=1)
    [call] = dawdlers.delay("dawdler.hang_at_first", {"n": 2})
    until(lambda: list(dawdlers.notes_dir.glob("start-2-*")), what="the attempt began")
    first.pause()

    dawdlers.worker("threads", concurrency=1)

    assert dawdlers.answer(call)["ok"]
    assert len(list(dawdlers.notes_dir.glob("start-2-*"))) == 2
    (dawdlers.notes_dir / "go-on").touch()
    first.resume()
    first.wait_for("claim lost")
    told = dawdlers.explain("hang:2")
    assert (told["state"], told["attempts"]) == ("done", 2)
