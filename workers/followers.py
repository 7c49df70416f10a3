"""What follows a call: `link`, `link_error` and the rest of a chain. The register keeps it, and a sweeper starts it.

Celery starts followers when a message is over. Here a message may be over although its call is not: it was deferred, or
is tried again. So no message carries followers; they are started once, after the end of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from celery import signature
from kombu.utils.json import dumps, loads

from gatekeeper import origin
from gatekeeper.errors import IdInUse, InvalidArguments, UnsupportedOption
from gatekeeper.policies.contract import MAX_ARGUMENTS
from gatekeeper.policies.spec import KEEP_MS, registered
from gatekeeper.redact import clean, describe
from gatekeeper.run import responses
from state.errors import StoreError
from state.ledger import Ledger
from state.ledger.followers import Ended
from state.model import Call
from state.options import Options
from workers import options

log = structlog.get_logger("gatehouse.followers")

#: How long followers wait that cannot be started now: the journal's disk is full, or this worker has other code.
LATER_MS = 10_000
#: Signatures in signatures: more than a person writes, and far less than what makes reading them hard.
DEEPEST = 20
#: What stands in the options of a group or a chain besides what follows it.
_FROZEN = options.IGNORED | {"task_id"}

Written = dict[str, Any]


def take(given: dict[str, Any]) -> Options:
    """Take the followers out of a caller's options, checked and with ids of their own; raises UnsupportedOption."""
    then, otherwise, rest = (
        [_written(name, one) for one in _listed(given.pop(name, None))] for name in options.FOLLOWERS
    )
    if any(one.get("subtask_type") == "group" for one in rest[1:]):
        raise UnsupportedOption(f"chain: a group that something follows is a chord. {_CHORD}")
    return Options(then=then, otherwise=otherwise, chain=rest)


def start(app: Any, of: Ended) -> None:
    """Register the calls that follow one that has ended; doing it twice registers each of them once."""
    with origin.coming_from(of.task):
        if of.state == "done" and not of.flaw:
            for one in of.options.then:
                _start(app, one, [of.result])
            if of.options.chain:
                *rest, following = of.options.chain
                _start(app, following, [of.result], rest)
            return
        if of.state != "done":
            for one in of.options.otherwise:
                _start(app, one, [of.call])
        for one in reversed(of.options.chain):
            _give_up(app, one, of.call, of.state)


_CHORD = f"A chord is not supported: {options.REFUSED['chord']}"


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _written(name: str, one: Any) -> Written:
    """A signature as it is kept: JSON, checked, every call in it with an id."""
    try:
        text = dumps(one, allow_nan=False)
        plain = loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedOption(f"{name} cannot be written as JSON: {error}") from None
    if len(text) > MAX_ARGUMENTS:
        raise UnsupportedOption(f"{name} is {len(text)} characters long; at most {MAX_ARGUMENTS}")
    _check(name, plain)
    frozen = signature(plain)
    frozen.freeze()
    written: Written = json.loads(dumps(frozen))
    return written


def _check(name: str, one: Any, depth: int = 1) -> None:
    """Raise UnsupportedOption if this cannot follow a call."""
    if not isinstance(one, Mapping) or not isinstance(one.get("task"), str):
        raise UnsupportedOption(f"{name}={str(one)[:80]!r} is not a signature; write task.s(…)")
    if depth > DEEPEST:
        raise UnsupportedOption(f"{name}: more than {DEEPEST} signatures stand in one another")
    kind, said = one.get("subtask_type"), dict(one.get("options") or {})
    nested = {other: _listed(said.pop(other, None)) for other in options.FOLLOWERS}
    for other, followings in nested.items():
        for following in followings:
            _check(other, following, depth + 1)
    if kind in {"chain", "group"}:
        _check_many(name, one, {**said, **(nested if kind == "group" else {"chain": nested["chain"]})}, depth)
    elif kind:
        raise UnsupportedOption(
            f"{name}: a {kind} cannot follow a call. {_CHORD if kind == 'chord' else 'Make a group'}"
        )
    else:
        _check_one(name, one, said)


def _check_many(name: str, one: Mapping[str, Any], said: Mapping[str, Any], depth: int) -> None:
    kind, members = one["subtask_type"], (one.get("kwargs") or {}).get("tasks")
    if not isinstance(members, list) or not members:
        raise UnsupportedOption(f"{name}: a {kind} without members follows nothing")
    odd = sorted(option for option, value in said.items() if value and option not in _FROZEN)
    if odd:
        raise UnsupportedOption(f"{name}: options of a {kind} that follows ({odd[0]}) belong to its members")
    for member in members:
        _check(name, member, depth + 1)
    if kind == "chain" and any(member.get("subtask_type") == "group" for member in members[:-1]):
        raise UnsupportedOption(f"{name}: a group that something follows is a chord. {_CHORD}")


def _check_one(name: str, one: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    gate = registered().get(one["task"])
    if gate is None:
        raise UnsupportedOption(
            f"{name}: {one['task']!r} is not a task with @gatekeeper.task, so it may run twice or never"
        )
    options.read(gate, said, "")
    if one.get("immutable"):
        gate.contract.bind(one.get("args") or (), one.get("kwargs") or {})


def _start(app: Any, written: Written, args: list[Any], rest: Sequence[Written] = ()) -> None:
    """Call what a signature says, with these arguments before its own; `rest` follows it."""
    one: Any = signature(loads(json.dumps(written)))
    match one.subtask_type:
        case "group":
            for member in one.tasks:
                _start(app, _plain(member), args)
        case "chain":
            first, *others = map(_plain, one.unchain_tasks())
            _start(app, first, args, [*rest, *reversed(others)])
        case _:
            _call(app, one, () if one.immutable else args, rest)


def _plain(one: Any) -> Written:
    written: Written = json.loads(dumps(one))
    return written


def _call(app: Any, one: Any, args: Sequence[Any], rest: Sequence[Written]) -> None:
    given = dict(one.options)
    given["chain"] = [*rest, *_listed(given.get("chain"))]
    try:
        app.send_task(one.task, [*args, *one.args], dict(one.kwargs), **given)
    except IdInUse as error:
        told = {
            "task": one.task,
            "call": one.id,
            "error": str(error),
            "next": "its id is another call's: give it another",
        }
        log.warning("follower not started", **told)
    except InvalidArguments as error:
        receipt = {"error": "invalid arguments", "stage": "input", "detail": clean(str(error))}
        if not _refuse(app, one, receipt, take(dict(given))):  # its id is known: a person revoked it
            for later in reversed(given["chain"]):
                _give_up(app, later, str(one.id), "cancelled")


def _give_up(app: Any, written: Written, before: str, state: str) -> None:
    """What would have come later in a chain never will; its ids say so, so that nobody waits for them."""
    receipt = {"error": "the call before it gave no result", "stage": "chain", "before": before, "state": state}
    for one in _calls(signature(loads(json.dumps(written)))):
        _refuse(app, one, receipt, Options())


def _calls(one: Any) -> Iterator[Any]:
    """Every call in a signature."""
    if one.subtask_type in {"group", "chain"}:
        for member in one.tasks:
            yield from _calls(signature(member))
    else:
        yield one


def _refuse(app: Any, one: Any, receipt: dict[str, Any], follow: Options) -> bool:
    """Record that a follower cannot be called; False if its id is known already."""
    gate, call = registered()[one.task], str(one.id)
    asked = Call(call, gate.agent, gate.name, "", "{}", "", origin.current(), options=follow.as_json())
    if not Ledger().refuse_follower(asked, receipt, KEEP_MS):
        return False
    app.backend.store_result(call, responses.refusal(None, receipt), "SUCCESS")
    log.info("refused", agent=gate.agent, task=gate.name, call=call, **receipt)
    return True


def sweep(app: Any, agent: str) -> None:
    """Start what follows the calls of an agent that have ended. One that cannot be started now holds up no other."""
    ledger = Ledger()
    effects = [name for name, gate in registered().items() if gate.effect]
    for of in ledger.ended(agent):
        try:
            start(app, of)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and looked at again
            told = {"agent": agent, "task": of.task, "call": of.call, "error": describe(error)}
            log.warning("followers wait", **told, next=f"tried again in {LATER_MS / 1000:g} s")
            ledger.postpone_followers(of, LATER_MS)
        else:
            log.info("followed", agent=agent, task=of.task, call=of.call, state=of.state)
            ledger.let_go(of, effects)
