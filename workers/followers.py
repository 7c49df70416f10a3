"""The followers of a call: `link`, `link_error` and the rest of a chain. The register keeps them; a sweeper starts them.

Celery starts followers when a message is done. Here a message may be done although its call has not ended: the call was
deferred, or is tried again. So messages carry no followers, and the sweeper starts them once, after the call has ended.
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
from gatekeeper.run import answers
from state.errors import StoreError
from state.ledger import Ledger
from state.ledger.followers import Ended
from state.model import Call
from state.options import Options
from workers import options

log = structlog.get_logger("gatehouse.followers")

#: ms until followers are tried again that cannot be started: the journal's disk is full, or this worker has other code.
RETRY_MS = 10_000
#: Levels of signatures inside signatures: more than a person writes, and far below Python's recursion limit.
MAX_DEPTH = 20
#: Options of a group or a chain that Celery sets itself.
_SET_BY_CELERY = options.IGNORED | {"task_id"}

#: A signature as JSON.
Serialized = dict[str, Any]


def take(given: dict[str, Any]) -> Options:
    """Remove the followers from a caller's options.

    Args:
        given: The caller's options, by name; the followers are removed from it.

    Returns:
        The followers, checked, with an id for each call in them.

    Raises:
        UnsupportedOption: A follower is not supported.

    """
    then, otherwise, rest = (
        [_serialized(name, each) for each in _listed(given.pop(name, None))] for name in options.FOLLOWERS
    )
    if any(each.get("subtask_type") == "group" for each in rest[1:]):
        raise UnsupportedOption(f"chain: a group that something follows is a chord. {_CHORD}")
    return Options(then=then, otherwise=otherwise, chain=rest)


def start(app: Any, ended: Ended) -> None:
    """Register the followers of a call that has ended. A second run changes nothing: their ids are fixed.

    Args:
        app: The Celery application.
        ended: The call.

    Raises:
        StoreError: Redis does not answer; some followers may be registered already.
        JournalUnavailable: The journal cannot be written; likewise.

    """
    with origin.coming_from(ended.task):
        if ended.state == "done" and not ended.flaw:
            for follower in ended.options.then:
                _start(app, follower, [ended.result])
            if ended.options.chain:
                *rest, follower = ended.options.chain
                _start(app, follower, [ended.result], rest)
            return
        if ended.state != "done":
            for follower in ended.options.otherwise:
                _start(app, follower, [ended.call])
        for follower in reversed(ended.options.chain):
            _abandon(app, follower, ended.call, ended.state)


_CHORD = f"A chord is not supported: {options.REFUSED['chord']}"


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _serialized(name: str, follower: Any) -> Serialized:
    """Return a signature as the register keeps it: checked, as JSON, with an id for each call in it."""
    try:
        text = dumps(follower, allow_nan=False)
        plain = loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedOption(f"{name} cannot be written as JSON: {error}") from None
    if len(text) > MAX_ARGUMENTS:
        raise UnsupportedOption(f"{name} is {len(text)} characters long; at most {MAX_ARGUMENTS}")
    _check(name, plain)
    frozen = signature(plain)
    frozen.freeze()
    return _as_json(frozen)


def _check(name: str, follower: Any, depth: int = 1) -> None:
    """Raise UnsupportedOption if this signature cannot follow a call."""
    if not isinstance(follower, Mapping) or not isinstance(follower.get("task"), str):
        raise UnsupportedOption(f"{name}={str(follower)[:80]!r} is not a signature; write task.s(…)")
    if depth > MAX_DEPTH:
        raise UnsupportedOption(f"{name}: more than {MAX_DEPTH} signatures are nested in one another")
    kind, given = follower.get("subtask_type"), dict(follower.get("options") or {})
    nested = {option: _listed(given.pop(option, None)) for option in options.FOLLOWERS}
    for option, inner in nested.items():
        for each in inner:
            _check(option, each, depth + 1)
    if kind in {"chain", "group"}:
        _check_many(name, follower, {**given, **(nested if kind == "group" else {"chain": nested["chain"]})}, depth)
    elif kind:
        raise UnsupportedOption(
            f"{name}: a {kind} cannot follow a call. {_CHORD if kind == 'chord' else 'Make a group'}"
        )
    else:
        _check_one(name, follower, given)


def _check_many(name: str, follower: Mapping[str, Any], given: Mapping[str, Any], depth: int) -> None:
    kind, members = follower["subtask_type"], (follower.get("kwargs") or {}).get("tasks")
    if not isinstance(members, list) or not members:
        raise UnsupportedOption(f"{name}: a {kind} without members follows nothing")
    refused = sorted(option for option, value in given.items() if value and option not in _SET_BY_CELERY)
    if refused:
        raise UnsupportedOption(f"{name}: options of a {kind} that follows ({refused[0]}) belong to its members")
    for member in members:
        _check(name, member, depth + 1)
    if kind == "chain" and any(member.get("subtask_type") == "group" for member in members[:-1]):
        raise UnsupportedOption(f"{name}: a group that something follows is a chord. {_CHORD}")


def _check_one(name: str, follower: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    spec = registered().get(follower["task"])
    if spec is None:
        raise UnsupportedOption(
            f"{name}: {follower['task']!r} is not a task with @gatekeeper.task, so it may run twice or never"
        )
    options.read(spec, given, "")
    if follower.get("immutable"):
        spec.contract.bind(follower.get("args") or (), follower.get("kwargs") or {})


def _start(app: Any, serialized: Serialized, args: list[Any], rest: Sequence[Serialized] = ()) -> None:
    """Call the tasks of a signature, with these arguments before its own; `rest` is what follows it in its chain."""
    follower = _signature(serialized)
    match follower.subtask_type:
        case "group":
            for member in follower.tasks:
                _start(app, _as_json(member), args)
        case "chain":
            first, *others = map(_as_json, follower.unchain_tasks())
            _start(app, first, args, [*rest, *reversed(others)])
        case _:
            _call(app, follower, () if follower.immutable else args, rest)


def _as_json(follower: Any) -> Serialized:
    serialized: Serialized = json.loads(dumps(follower))
    return serialized


def _signature(serialized: Serialized) -> Any:
    return signature(loads(json.dumps(serialized)))


def _call(app: Any, follower: Any, args: Sequence[Any], rest: Sequence[Serialized]) -> None:
    given = dict(follower.options)
    given["chain"] = [*rest, *_listed(given.get("chain"))]
    try:
        app.send_task(follower.task, [*args, *follower.args], dict(follower.kwargs), **given)
    except IdInUse as error:
        fields = {"task": follower.task, "call": follower.id, "error": str(error)}
        log.warning("follower not started", **fields, hint="its id belongs to another call: give it another id")
    except InvalidArguments as error:
        receipt = {"error": "invalid arguments", "stage": "input", "detail": clean(str(error))}
        if not _refuse(app, follower, receipt, take(dict(given))):  # a person revoked its id
            for later in reversed(given["chain"]):
                _abandon(app, later, str(follower.id), "cancelled")


def _abandon(app: Any, serialized: Serialized, before: str, state: str) -> None:
    """Store a refusal for each call in the rest of a chain that will not run, for processes that wait for its result."""
    receipt = {"error": "the call before it gave no result", "stage": "chain", "before": before, "state": state}
    for follower in _calls(_signature(serialized)):
        _refuse(app, follower, receipt, Options())


def _calls(follower: Any) -> Iterator[Any]:
    """Yield every call in a signature."""
    if follower.subtask_type in {"group", "chain"}:
        for member in follower.tasks:
            yield from _calls(signature(member))
    else:
        yield follower


def _refuse(app: Any, follower: Any, receipt: dict[str, Any], follow: Options) -> bool:
    """Record that a follower cannot be called; returns False if its id is known already."""
    spec, call = registered()[follower.task], str(follower.id)
    refused = Call(call, spec.agent, spec.name, "", "{}", "", origin.current(), options=follow.as_json())
    if not Ledger().refuse_follower(refused, receipt, KEEP_MS):
        return False
    app.backend.store_result(call, answers.refusal(None, receipt), "SUCCESS")
    log.info("refused", agent=spec.agent, task=spec.name, call=call, **receipt)
    return True


def sweep(app: Any, agent: str) -> None:
    """Start the followers of each call of an agent that has ended. One that fails does not stop the others.

    Args:
        app: The Celery application.
        agent: The agent.

    Raises:
        StoreError: Redis does not answer.

    """
    ledger = Ledger()
    effects = [name for name, spec in registered().items() if spec.effect]
    for ended in ledger.ended(agent):
        fields = {"agent": agent, "task": ended.task, "call": ended.call}
        try:
            start(app, ended)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and tried again later
            log.warning("followers wait", **fields, error=describe(error), hint=f"tried again in {RETRY_MS / 1000:g} s")
            ledger.postpone_followers(ended, RETRY_MS)
        else:
            log.info("followed", **fields, state=ended.state)
            ledger.let_go(ended, effects)
