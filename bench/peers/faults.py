"""The faults: each is a function of a running peer and the keys to call; the effects are counted afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.peers.adapters.effect import STUCK
from bench.peers.stage import Stage

#: Seconds without a request after which a peer is believed to be done: retries come within 4 s here, and …
QUIET = 10.0
#: … deliveries after a death within 15 s, worker start included.
QUIET_AFTER_DEATH = 30.0
#: Seconds for a task to be well under way, its early acknowledgement included, before it is killed.
UNDER_WAY = 2.0
#: Seconds for a second request to show up beside the first.
BESIDE = 5.0
#: The judge holds requests for longer than a fault lasts; each is released by name.
HELD = "delay_after:120"


@dataclass(frozen=True)
class Fault:
    """One fault; `title` heads its column, and `what` describes it."""

    title: str
    what: str
    inflict: Callable[[Stage, Sequence[str]], None]
    prefix: str = "post"

    def keys(self, runs: int) -> list[str]:
        return [f"{self.prefix}-{number}" for number in range(1, runs + 1)]


def lose_answers(stage: Stage, keys: Sequence[str]) -> None:
    """Apply each request, and never send a response."""
    stage.effects.mode("apply_then_drop")
    stage.call(*keys)
    stage.wait_for_effects(*keys)
    stage.settle(QUIET)


def kill_workers(stage: Stage, keys: Sequence[str]) -> None:
    """Kill the process that waits for the answer; its supervisor lives, if it has one."""
    _begin_effects(stage, keys)
    stage.settle(UNDER_WAY)
    stage.kill_workers(*keys)
    _let_go(stage)
    stage.settle(QUIET_AFTER_DEATH)


def kill_group(stage: Stage, keys: Sequence[str]) -> None:
    """Kill every process of the worker while it waits for responses, and start all again."""
    _begin_effects(stage, keys)
    stage.settle(UNDER_WAY)
    stage.kill_group()
    _let_go(stage)
    stage.settle(QUIET_AFTER_DEATH)


def call_at_once(stage: Stage, keys: Sequence[str]) -> None:
    """Call the same key from two processes at the same time; the first effect is slow."""
    stage.effects.mode(HELD)
    stage.call_at_once(*keys)
    stage.wait_for_effects(*keys)
    stage.settle(BESIDE)
    _let_go(stage)
    stage.settle(QUIET)


def call_again(stage: Stage, keys: Sequence[str]) -> None:
    """Ask for the same key again when the first call is long over."""
    stage.call(*keys)
    stage.wait_for_effects(*keys)
    stage.settle(BESIDE)
    stage.call(*keys)
    stage.settle(QUIET)


def kill_before(stage: Stage, keys: Sequence[str]) -> None:
    """Kill every process while the tasks run, before anything is sent."""
    stage.call(*keys)
    stage.wait_for_attempts(*keys)
    stage.settle(UNDER_WAY)
    stage.kill_group()
    stage.settle(QUIET_AFTER_DEATH)


def refuse_once(stage: Stage, keys: Sequence[str]) -> None:
    """Refuse the first request with 429, without applying it."""
    for key in keys:
        stage.effects.mode("refuse:429", key=key, for_next=1)
    stage.call(*keys)
    stage.wait_for_effects(*keys)
    stage.settle(QUIET)


FAULTS = (
    Fault("answers lost", "the provider applies every request and drops every answer; retries are on", lose_answers),
    Fault("worker killed", "`SIGKILL` to the process that waits for the answer", kill_workers),
    Fault("group killed", "`SIGKILL` to all processes of the worker in mid-effect, then a new start", kill_group),
    Fault("twice at once", "two processes ask for the same key at the same time", call_at_once),
    Fault("again later", "the same call again, 5 s after everything has ended", call_again),
    Fault("killed before", "`SIGKILL` to all processes before anything was sent, then a new start", kill_before, STUCK),
    Fault("refused once", "the provider's first answer is a 429: nothing applied, try again", refuse_once),
)


def _begin_effects(stage: Stage, keys: Sequence[str]) -> None:
    stage.effects.mode(HELD)
    stage.call(*keys)
    stage.wait_for_effects(*keys)


def _let_go(stage: Stage) -> None:
    stage.effects.mode("ok")
    stage.effects.release()
