"""A stranger's words in keys, errors, reasons and results: every command shows them, and no terminal obeys them."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.shell import Shell
from tests.unit.test_terminal import HOSTILE, obeyed

#: All of it, in one text that can be stored, with a line that pretends to be another agent's and a word for the shell.
WORDS = "".join(text for text in HOSTILE if text.isascii() or "\ud800" not in text) + "\nphantom     running\n'; id #"


@pytest.fixture(scope="module", autouse=True)
def lived(house: Install, shell: Shell, effect_server: EffectServer) -> None:
    """A post in doubt whose key is hostile, a failure that says hostile words, a hostile result and a hostile pause."""
    effect_server.clear()
    shell.run(
        """
        import clerk
        for task, kwargs in (
            (clerk.post, {"post_id": words}), (clerk.complain, {"words": words}), (clerk.remember, {"name": "x", "value": words}),
        ):
            try:
                task(**kwargs)
            except Exception:
                pass
        """,
        words=WORDS,
    )
    shell.celery("gate", "pause", "counter", "--why", WORDS)


COMMANDS = [
    ("status",), ("explain", "KEY"), ("held",), ("dead",), ("doctor",), ("resolve", "KEY", "--cancel", "--why", WORDS),
    ("explain", WORDS), ("pause", "counter", "--why", WORDS), ("resume", WORDS), ("replay", WORDS), ("run", WORDS),
]  # fmt: skip


@pytest.mark.parametrize("json_", [False, True], ids=["words", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_command_repeats_what_a_terminal_would_obey(
    house: Install, shell: Shell, command: tuple[str, ...], *, json_: bool
) -> None:
    key = shell.run(
        "from gatekeeper.policies.spec import registered\nanswer = registered()['clerk.post'].key({'post_id': words}, '')",
        words=WORDS,
    )

    done = shell.celery("gate", *(key if word == "KEY" else word for word in command), *(["--json"] if json_ else []))

    assert "Traceback" not in done.stdout + done.stderr
    assert obeyed(done.stdout + done.stderr, but="\n") == []
    assert "phantom     running" not in done.stdout.splitlines()
    if json_:
        json.loads(done.stdout)


def test_the_command_that_is_shown_for_a_hostile_key_names_that_key_and_starts_nothing(shell: Shell) -> None:
    key = "it's; $(id) `id`"

    assert (
        shlex.split(shell.run("from state import hints\nanswer = hints.gatehouse('explain', key)", key=key))[-1] == key
    )


def test_the_state_file_can_be_looked_at(house: Install, shell: Shell) -> None:
    shell.run("from state.agents import state_file as mirror\nanswer = mirror.write('clerk')")
    text = (house.state_dir / "agents" / "clerk.json").read_text()

    assert obeyed(text, but="\n") == []
    assert "running" in json.loads(text)["errors"][0]["error"]
