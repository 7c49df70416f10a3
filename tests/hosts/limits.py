"""Limits that hold over all hosts: each is reached on host A, and obeyed on host B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.hosts.fleet import Fleet
from tests.hosts.host import Host
from tests.hosts.result import Limited

#: Calls on A that reach each limit, and calls on B after that.
REACH, AFTER = 4, 3


def every_limit(fleet: Fleet) -> list[Limited]:
    """Try each limit once; the judge has no delay meanwhile."""
    fleet.judge.mode("ok")
    return [
        _limited(fleet, "a rate of 3 an hour", "rated", 3),
        _limited(fleet, "a cap of 3 a day", "capped", 3),
        _limited(fleet, "a budget of 3,000 tokens a day", "thoughtful", 3),
        _breaker(fleet),
        _limited(fleet, "a provider's rate of 3 an hour", "metered", 3),
        _pause(fleet),
    ]


def _limited(fleet: Fleet, name: str, task: str, allowed: int) -> Limited:
    _run(fleet, fleet.a, task, [{"n": f"a{n}"} for n in range(REACH)])
    return _judged(fleet, name, task, allowed, [{"n": f"b{n}"} for n in range(AFTER)])


def _breaker(fleet: Fleet) -> Limited:
    _run(fleet, fleet.a, "fragile", [{"n": f"a{n}", "works": False} for n in range(REACH)])
    calls = [{"n": f"b{n}", "works": True} for n in range(AFTER)]
    return _judged(fleet, "a breaker that 3 failures open", "fragile", 0, calls)


def _pause(fleet: Fleet) -> Limited:
    """Pause the agent by a command on A, and resume it by one on B."""
    fleet.a.ask_gate("pause", "lodger", "--why", "to see who obeys")
    found = _judged(fleet, "a pause", "quiet", 0, [{"n": f"b{n}"} for n in range(AFTER)], asked_of_a=0)
    fleet.b.ask_gate("resume", "lodger")
    [answer] = _run(fleet, fleet.a, "quiet", [{"n": "after"}])
    if not answer["ok"]:
        fleet.problems.append(f"after the resume on B, A refuses: {answer}")
    return found


def _judged(
    fleet: Fleet, name: str, task: str, allowed: int, calls: Sequence[dict[str, Any]], asked_of_a: int = REACH
) -> Limited:
    """Ask B, and count what the judge has of either."""
    answers = _run(fleet, fleet.b, task, calls)
    rows = [row for row in fleet.judge.rows() if row["key"].startswith(f"{task}:")]
    of_a, of_b = (sum(row["headers"].get("x-host") == host.name for row in rows) for host in fleet.hosts)
    return Limited(name, allowed, (asked_of_a, len(calls)), (of_a, of_b), _refused(answers))


def _refused(answers: Sequence[dict[str, Any]]) -> str:
    """Return the one reason for which all were refused; "" if any was not."""
    reasons = {
        str(each.get("stage") or each.get("error")) if not each["ok"] else str(each["result"]) for each in answers
    }
    [reason] = reasons if len(reasons) == 1 else [""]
    return "" if reason == "sent" or any(each["ok"] and not _is_denial(each) for each in answers) else reason


def _is_denial(answer: dict[str, Any]) -> bool:
    return str(answer["result"]).startswith("denied")


def _run(fleet: Fleet, host: Host, task: str, calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run calls on one host, one after the other; return what each answered, or how its attempt failed."""
    answers = []
    for call in calls:
        id_ = fleet.producer.run(
            "answer = app.tasks[task].apply_async(kwargs=call, queue=queue).id",
            task=f"lodger.{task}",
            call=call,
            queue=host.queue,
        )
        meta = fleet.office.result(id_, 60)
        failed = {"ok": False, "error": "failed"}
        answers.append(meta["result"] if meta["status"] == "SUCCESS" else failed)
    return answers
