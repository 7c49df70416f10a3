"""`gate recover`: rebuilds a Redis that lost data from the journal and the state files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from gatekeeper.errors import InvalidArguments
from gatekeeper.policies.spec import agents, registered
from state import hints
from state.agents import state_file
from state.ledger import Ledger, Progress, RecoveryReport
from workers import decisions
from workers.commands.output import Failed, Misused, command, say, show
from workers.decisions import by_command


@command("recover", "recover", "recover --skip-damaged --yes")
@click.option(
    "--skip-damaged",
    is_flag=True,
    help="Go on without journal lines that cannot be read. Asks first, if a terminal is there.",
)
@click.option("--yes", is_flag=True, help="Do not ask before damaged lines are skipped; with --skip-damaged.")
@click.option("--why", default="recovered", show_default=True, help="What to tell the next person who looks.")
def recover(why: str, *, skip_damaged: bool, yes: bool, json_: bool) -> None:
    """Rebuild the ledger from the journal and the state files. Its epoch is new, and effects are open again afterwards."""
    if yes and not skip_damaged:
        raise Misused("--yes belongs to --skip-damaged; remove it, or say both")
    if skip_damaged and not yes and sys.stdin.isatty():
        _ask_before_skipping()
    report = rebuild(hidden=json_, skip_damaged=skip_damaged)
    decisions.recovered({*report.epochs, *report.restored}, by_command(why))
    show(json_, asdict(report), summary(report))


def _ask_before_skipping() -> None:
    say("A line that cannot be read may be of an effect that was sent: it could be sent a second time.", err=True)
    if not click.confirm("Shall the recovery go on without such lines?", err=True):
        raise Failed("nothing was recovered; effects are as they were")


def rebuild(*, hidden: bool, skip_damaged: bool = False) -> RecoveryReport:
    """Run a recovery, with a progress bar on stderr.

    Args:
        hidden: Whether to hide the progress bar.
        skip_damaged: Whether to go on without journal lines that cannot be read.

    Raises:
        Unrecoverable: Nothing was recovered; the text says why.
        RestoreError: Likewise.
        JournalUnavailable: Likewise.

    """
    ledger = Ledger()
    size = ledger.journal_size()
    with click.progressbar(length=2 * size, label="recover", file=sys.stderr, hidden=hidden) as bar:
        report = ledger.recover(_caps_of, _ProgressBar(bar, size), skip_damaged=skip_damaged)
    for agent in {*report.epochs, *report.restored} & set(agents()):
        state_file.write_after_decision(agent)
    return report


class _ProgressBar(Progress):
    """The progress bar: its first half is reading the journal, its second writing to Redis."""

    def __init__(self, bar: Any, size: int) -> None:
        self._bar, self._size, self._written = bar, size, 0

    def reads(self, size: int) -> None:
        self._bar.update(size)

    def writes(self, done: int, total: int) -> None:
        before, self._written = self._written, self._size * done // total
        self._bar.update(self._written - before)


def _caps_of(task: str, kwargs: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the caps of a task as it is defined now; none if it is gone or takes other arguments."""
    spec = registered().get(task)
    try:
        names = spec.limits(spec.contract.bind((), kwargs)).caps if spec else ()
    except InvalidArguments:
        return []
    return [(name, cap.window_ms) for name, cap in zip(names, spec.caps if spec else (), strict=True)]


def summary(report: RecoveryReport) -> str:
    """Return what a recovery did, one fact per line."""
    if not report.epochs and not report.restored:
        return "the journal is empty, and no state file knows more than Redis: there is nothing to recover"
    of_journal = f"read {report.records} records of {', '.join(sorted(report.epochs))}; effects are open again"
    lines = [of_journal if report.epochs else "the journal is empty"]
    lines += [f"  {count} keys are {name} again" for name, count in sorted(report.rebuilt.items())]
    lines += [f"  {report.kept} keys were known to Redis"] if report.kept else []
    lines += [f"  {report.calls} calls that had not begun wait again"] if report.calls else []
    lines += [f"  state files read back: {', '.join(report.restored)}"] if report.restored else []
    lines += [f"  {line}" for line in (*report.torn, *report.damaged)]
    lines += [f"see what is in doubt: {hints.gatehouse('held')}"] if report.rebuilt.get("unknown") else []
    return "\n".join(lines)


commands = (recover,)
