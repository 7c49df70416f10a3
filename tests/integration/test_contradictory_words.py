"""Words that contradict each other do nothing, and what sends again is asked for at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, patient
from tests.harness.shell import Shell

TORN = "post:torn"


@pytest.fixture(autouse=True)
def in_doubt(house: Install, shell: Shell, effect_server: EffectServer) -> None:
    """One effect is in doubt, and no worker runs that could send it again."""
    if shell.run(
        "from state.ledger import Ledger; from state.redis import client as store\nanswer = Ledger().key_state('clerk', 'post:torn')"
    ):
        return
    effect_server.clear()
    effect_server.mode("apply_then_reset")
    shell.run(
        """
        import clerk
        try:
            clerk.post(post_id="torn")
        except Exception:
            pass
        """
    )


def stands(shell: Shell, key: str = TORN) -> str:
    return str(shell.gate("explain", key)["state"])


def at_a_terminal(house: Install, answer: str, *args: str) -> tuple[int, str]:
    """The exit code and all that a person at a terminal sees, who types `answer` when asked."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "celery", "-A", "workers", "gate", *args]
    try:
        child = subprocess.Popen(
            command,
            env=house.env,
            cwd=house.root,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.write(ours, f"{answer}\n".encode())
        said, _ = child.communicate(timeout=patient(60))
    finally:
        os.close(ours)
        os.close(theirs)
    return child.returncode, said


CONTRADICTIONS = [
    ("--applied", "--not-applied"),
    ("--not-applied", "--applied"),
    ("--applied", "--cancel"),
    ("--not-applied", "--cancel"),
    ("--applied", "--not-applied", "--cancel"),
    (),
    ("--cancel", "--result", "{}"),
    ("--not-applied", "--result", "{}"),
    ("--applied", "--force"),
    ("--cancel", "--force"),
    ("--applied", "--yes"),
    ("--applied", "--result", "NaN"),
    ("--applied", "--result", "{"),
]


@pytest.mark.parametrize("words", CONTRADICTIONS, ids=" ".join)
def test_contradictory_words_are_a_usage_error_and_change_nothing(shell: Shell, words: Sequence[str]) -> None:
    done = shell.celery("gate", "resolve", TORN, *words, "--why", "I looked", "--json")

    assert done.returncode == 2, done.stdout
    assert "--" in done.stderr
    assert "Traceback" not in done.stderr
    assert stands(shell) == "unknown"


def test_yes_without_what_it_agrees_to_is_a_usage_error(shell: Shell) -> None:
    assert shell.celery("gate", "recover", "--yes", "--json").returncode == 2


def test_a_person_at_a_terminal_sees_what_would_be_sent_and_may_still_say_no(house: Install, shell: Shell) -> None:
    code, said = at_a_terminal(house, "n", "resolve", TORN, "--not-applied", "--force", "--why", "I looked")

    assert code == 1
    assert '{"post_id": "torn"}' in said
    assert "nothing is sent" in said
    assert stands(shell) == "unknown"


def test_a_person_at_a_terminal_who_says_no_skips_no_damaged_line(house: Install) -> None:
    code, said = at_a_terminal(house, "n", "recover", "--skip-damaged")

    assert code == 1
    assert "nothing was recovered" in said


@pytest.mark.parametrize("answer", ["y", ""])
def test_whoever_agrees_at_the_terminal_or_beforehand_is_heard(
    house: Install, shell: Shell, effect_server: EffectServer, answer: str
) -> None:
    key = f"post:agreed{len(answer)}"
    effect_server.mode("apply_then_reset")
    shell.run(
        "import clerk\ntry:\n    clerk.post(post_id=name)\nexcept Exception:\n    pass", name=key.removeprefix("post:")
    )
    assert stands(shell, key) == "unknown"

    beforehand = () if answer else ("--yes",)
    code, said = at_a_terminal(house, answer, "resolve", key, "--not-applied", *beforehand, "--why", "I looked")

    assert code == 0, said
    assert ("payload" in said) == bool(answer)
    assert stands(shell, key) == "waiting"
