"""`python -m bench.trace`: how far one call travels through the code, counted with a profiler.

It prints, for one `publish` and one repeat-safe task, how many of the project's files and functions run, and how often
the next function called is in another file or another package. The first call of each task warms the caches; the
second is counted, from the door to the settled attempt. The last line of each leaves out the work of the task itself,
and what its clients call: the feed, for example, locks and writes its files with functions of `state/`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import settings
from bench.environment import BenchEnvironment
from gatekeeper import logs

POST = "---\ntitle: A traced post {n}\npublish_at: 2026-11-01T09:00:00Z\n---\n\nNothing to see here.\n"
#: Comprehensions and generator expressions: the profiler sees a call, a reader sees one line of the function around them.
INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
#: The packages that the work of a task does not belong to.
GATE = ("gatekeeper", "state")


@dataclass
class Trace:
    """The project's functions, in the order in which they were called."""

    calls: list[tuple[str, str]] = field(default_factory=list)  #: file, relative to the project, and function
    of_clients: set[int] = field(default_factory=set)  #: the indexes of the calls that a client made

    def record(self, run: Callable[[], Any]) -> Any:
        """Run something under the profiler; answers what it returned."""
        sys.setprofile(self._hear)
        try:
            return run()
        finally:
            sys.setprofile(None)

    def _hear(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and _is_ours(frame) and code.co_name not in INLINE:
            file = os.path.relpath(code.co_filename, settings.ROOT)
            if file.endswith(".py") and not file.startswith((".venv", "bench")):
                if _is_called_by_a_client(frame):
                    self.of_clients.add(len(self.calls))
                self.calls.append((file, code.co_qualname if hasattr(code, "co_qualname") else code.co_name))

    def of_the_gate(self) -> Trace:
        """Return the calls into the gate and the ledger, without those that a client made."""
        kept = enumerate(self.calls)
        return Trace([each for n, each in kept if each[0].startswith(GATE) and n not in self.of_clients])

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(file for file, _ in self.calls))

    @property
    def functions(self) -> int:
        return len(set(self.calls))

    @property
    def changes_of_file(self) -> int:
        return _changes([file for file, _ in self.calls])

    @property
    def changes_of_package(self) -> int:
        return _changes([file.partition(os.sep)[0] for file, _ in self.calls])


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(f"{settings.ROOT}{os.sep}")


def _is_called_by_a_client(frame: FrameType) -> bool:
    """Return whether the nearest caller of our code outside the called package belongs to a client."""
    package, caller = _package(frame), frame.f_back
    while caller is not None and (not _is_ours(caller) or _package(caller) == package):
        caller = caller.f_back
    return caller is not None and _package(caller) == "clients"


def _package(frame: FrameType) -> str:
    return os.path.relpath(frame.f_code.co_filename, settings.ROOT).partition(os.sep)[0]


def _changes(names: list[str]) -> int:
    return sum(one != other for one, other in pairwise(names))


def main() -> None:
    """Trace in a process of its own, with a server and a state folder of its own."""
    asked = _arguments()
    if asked.inside:
        _trace(show=asked.show)
        return
    with BenchEnvironment() as environment:
        environment.env["LOG_LEVEL"] = "error"
        environment.run("bench.trace", "--inside", *(["--show"] if asked.show else []))


def _trace(*, show: bool) -> None:
    from workers import app  # noqa: PLC0415 - only this process has the settings of the environment in its environment

    logs.configure()
    posts = settings.current().content_dir
    posts.mkdir(parents=True, exist_ok=True)
    print(f"{'':24}{'files':>7}{'functions':>11}{'changes of file':>17}{'of package':>12}")
    publish = [{"post_id": _post(posts, n), "destination": "feed"} for n in range(2)]
    _print_second("publish", app.tasks["tasks.publisher.publish"], publish, show=show)
    _print_second("repeat-safe", app.tasks["bench.agents.noop.nothing"], [{"n": n} for n in range(2)], show=show)


def _trace_call(task: Any, kwargs: dict[str, Any]) -> tuple[Trace, Trace]:
    """Make one call and run it, as a worker would that took its message; at the door, in the worker."""
    door, worker = Trace(), Trace()
    call = door.record(partial(task.delay, **kwargs)).id
    task.push_request(id=call, called_directly=False)
    try:
        answer = worker.record(partial(task, **kwargs))
    finally:
        task.pop_request()
    if not answer["ok"]:
        raise SystemExit(f"{task.name} did not go the whole way: {answer}")
    return door, worker


def _print_second(name: str, task: Any, calls: list[dict[str, Any]], *, show: bool) -> None:
    _, (door, worker) = [_trace_call(task, kwargs) for kwargs in calls]
    _print(name, Trace(door.calls + worker.calls))
    _print("  at the door", door)
    _print("  in the worker", worker)
    _print("    of it, the gate", worker.of_the_gate())
    if show:
        for file, function in door.calls + worker.calls:
            print(f"    {file:44} {function}")


def _print(name: str, trace: Trace) -> None:
    print(
        f"{name:24}{len(trace.files):>7}{trace.functions:>11}{trace.changes_of_file:>17}{trace.changes_of_package:>12}"
    )


def _post(folder: Path, n: int) -> str:
    (folder / f"traced-{n}.md").write_text(POST.format(n=n))
    return f"traced-{n}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=__doc__)
    parser.add_argument("--show", action="store_true", help="list every call as well")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
