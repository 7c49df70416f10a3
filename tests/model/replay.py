"""A trace of the model, walked on the real ledger and journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.model.stage import Stage
from tests.model.traces import Trace


class Differs(AssertionError):
    """Raised where the real thing is not where the model is; tells the way there."""


def replay(stage: Stage, trace: Trace) -> None:
    """Walk a trace; raises Differs."""
    older: dict[str, bytes] = {}
    for number, one in enumerate(trace):
        if one["copy"]:
            older = stage.copy()
        try:
            if one["what"] == "roll back":
                stage.roll_back(older)
            else:
                _do(stage, one)
            _compare(stage, one)
        except AssertionError as error:
            way = "\n".join(
                f"  {n:2}. {o['what']} ({o['attempt']}) -> {o['state']}" for n, o in enumerate(trace[: number + 1])
            )
            raise Differs(f"{error}\n{way}") from error


def _compare(stage: Stage, one: dict[str, Any]) -> None:
    assert stage.state == one["state"], f"the key is {stage.state}, in the model {one['state']}"
    if one["holder"] >= 0:
        assert stage.holder == one["holder"], f"W{stage.holder + 1} holds it, in the model W{one['holder'] + 1}"
    assert stage.is_open == one["open"], f"effects are {'open' if stage.is_open else 'closed'}, unlike in the model"
    assert stage.applied == one["applied"]


def _do(stage: Stage, one: dict[str, Any]) -> None:
    """Do a step, and see that the code says what the model says."""
    what, number = one["what"], one["attempt"]
    if what in _NOT_SEEN:
        return
    if what == "outdated":
        stage.intent(number)
    said = _STEPS[what](stage, number, one)
    if what in _SAYS:
        assert _SAYS[what](said), f"{what}: the code said {said!r}"


#: Nothing of these is in Redis or in the journal.
_NOT_SEEN = {"hear done", "hear refused", "give up", "audit"}

Doing = Callable[[Stage, int, dict[str, Any]], Any]

_STEPS: dict[str, Doing] = {
    "read": lambda stage, _, one: stage.read() if one["reading"] else stage.forget(),
    "claim": lambda stage, number, _: stage.claim(number),
    "intent": lambda stage, number, _: stage.intent(number),
    "outdated": lambda stage, number, _: stage.cross(number),
    "cross": lambda stage, number, _: stage.cross(number),
    "refused": lambda stage, number, _: stage.cross(number),
    "intent unconfirmed": lambda stage, number, _: stage.unconfirmed(number, writes=True),
    "intent lost": lambda stage, number, _: stage.unconfirmed(number, writes=False),
    "journal away": lambda stage, number, _: stage.journal_away(number),
    "settle unsent": lambda stage, number, _: stage.settle_unsent(number),
    "look at home": lambda stage, number, _: stage.look(number, absent=False),
    "report death": lambda stage, number, _: stage.report_death(number),
    "begin remote look": lambda stage, number, _: stage.begin_remote(number),
    "end remote look": lambda stage, _, __: stage.end_remote(),
    "send": lambda stage, number, _: stage.send(number),
    "apply": lambda stage, number, _: stage.arrive(number, "applied"),
    "refuse": lambda stage, number, _: stage.arrive(number, "refused"),
    "lose request": lambda stage, number, _: stage.arrive(number, "lost"),
    "outcome": lambda stage, number, one: stage.outcome(number, one["answer"]),
    "settle": lambda stage, number, _: stage.settle(number),
    "settle in vain": lambda stage, number, _: stage.settle(number),
    "kill": lambda stage, number, _: stage.attempts[number].kill(),
    "reclaim": lambda stage, number, _: stage.reclaim(number),
    "reclaim in vain": lambda stage, number, _: stage.reclaim(number),
    "prove death": lambda stage, number, _: stage.look(number, absent=False),
    "end drain": lambda stage, _, __: stage.wait(),
    "ask: found": lambda stage, number, _: stage.find(number),
    "ask at once: absent": lambda stage, number, _: stage.look(number),
    "hold": lambda stage, number, _: stage.hold(number),
    "reopen": lambda stage, _, __: stage.audit(),
    "begin recovery": lambda stage, _, __: stage.begin_recovery(),
    "read journal": lambda stage, _, __: stage.go_on_with_recovery(),
    "rebuild key": lambda stage, _, __: stage.go_on_with_recovery(),
    "open effects": lambda stage, _, __: stage.go_on_with_recovery(),
    "recovery stops": lambda stage, _, __: stage.finish_recovery(),
    "kill recovery": lambda stage, _, __: stage.kill_recovery(),
    "flush": lambda stage, _, __: stage.flush(),
    "restart": lambda stage, _, __: stage.restart(),
    "evict": lambda stage, _, __: stage.evict(),
}

_SAYS: dict[str, Callable[[Any], bool]] = {
    "cross": lambda said: said == "sending",
    "refused": lambda said: said != "sending",
    "outdated": lambda said: said != "sending",
    "settle": lambda said: said is None,
    "journal away": lambda said: said == "nothing",
    "report death": bool,
    "reclaim": lambda said: said != "kept",
    "reclaim in vain": lambda said: said == "kept",
    "prove death": lambda said: said[0] == "unknown",
    "ask: found": lambda said: said is None,
    "ask at once: absent": lambda said: said == ["waiting"],
    "reopen": lambda said: said is True,
    "read journal": lambda said: said is None,
    "rebuild key": lambda said: said is None,
    "open effects": lambda said: said == "",
    "recovery stops": bool,
}
