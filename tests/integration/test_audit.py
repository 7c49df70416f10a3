"""`gatehouse audit`: each decision that a command takes is in it, with who, why, before and after."""

from __future__ import annotations

from typing import Any

from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.shell import Shell


def decided(shell: Shell, *options: str) -> list[tuple[Any, ...]]:
    """What, about what, why, before and after, newest first."""
    told = ("what", "subject", "why", "before", "after")
    return [tuple(entry[name] for name in told) for entry in shell.gate("audit", *options)]


def test_every_decision_of_a_command_is_told_with_who_and_why(
    house: Install, shell: Shell, effects: EffectServer
) -> None:
    effects.mode("apply_then_reset", key="post:torn")
    shell.run("import clerk\ntry:\n    clerk.post(post_id='torn')\nexcept Exception:\n    pass")
    version = shell.gate("explain", "post:torn")["version"]

    shell.gate("pause", "clerk", "--why", "looking\nat it")
    shell.gate("pause", "clerk", "--why", "me too")
    shell.gate("resume", "clerk", "--why", "looked")
    shell.gate("resolve", "post:torn", "--applied", "--why", "I see it", "--seen", version)
    stale = shell.celery("gate", "resolve", "post:torn", "--cancel", "--why", "late", "--seen", version)

    assert stale.returncode == 1
    assert "post:torn is not any more as you saw it: it is done now" in stale.stderr
    assert "said applied at" in stale.stderr
    assert decided(shell, "--agent", "clerk") == [
        ("applied", "post:torn", "I see it", "unknown", "done"),
        ("resume", "", "looked", "paused", "running"),
        ("pause", "", "looking at it", "running", "paused"),
    ]
    [entry] = shell.gate("audit", "--agent", "clerk", "--what", "applied")
    assert (entry["door"], entry["agent"]) == ("command", "clerk")
    assert entry["by"]
    assert [each["door"] for each in shell.gate("explain", "post:torn")["story"] if each["event"] == "resolved"] == [
        "command"
    ]


def test_stop_all_is_told_once_for_each_agent_that_it_stopped(shell: Shell) -> None:
    shell.gate("pause", "clerk", "--why", "looking")
    shell.gate("stop-all", "--why", "fire")
    shell.gate("resume", "--all")

    stopped = shell.gate("audit", "--what", "stop-all")

    assert {entry["why"] for entry in stopped} == {"fire"}
    assert "clerk" not in {entry["agent"] for entry in stopped}
    assert len(stopped) == len({entry["agent"] for entry in stopped}) > 0
