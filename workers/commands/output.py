"""The output of the commands: plain lines, or JSON with `--json`, and a non-zero exit on failure."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import structlog

import installation
import settings
from gatekeeper.errors import GatekeeperError
from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from gatekeeper.tables.config_lines import TableError
from state import redis_format, terminal
from state.errors import JournalUnavailable, StoreError, UnusableRedis
from state.host import UnusableHostName
from state.ledger import RestoreError, Unrecoverable
from state.ledger.resolve import NotResolved
from workers.commands import paint
from workers.decisions import NotDecided

#: Errors whose text says all that a person needs.
EXPECTED = (
    GatekeeperError,
    TableError,
    JournalUnavailable,
    NotResolved,
    NotDecided,
    Unrecoverable,
    RestoreError,
    UnusableHostName,
)

#: Columns: a last cell with less room begins in a line of its own.
MIN_LAST = 28

#: Columns: less of a last cell that is cut is left out.
MIN_CUT = 8

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command with `--json`, whose expected errors are printed as one line.

    Args:
        name: The command's name.
        *examples: How it is used, for its help, without `gatehouse`.

    """
    lines = "".join(f"\n  gatehouse {example}" for example in examples)
    epilog = f"\b\nExamples:{lines}" if examples else None

    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(name, help=function.__doc__, epilog=epilog)(as_json(_with_clear_errors(function)))

    return decorate


def show(json_: bool, value: Any, text: str) -> None:  # noqa: FBT001 - the flag as click passes it
    """Print the result of a command.

    Args:
        json_: Whether the caller asked for JSON.
        value: What is printed as JSON.
        text: What is printed otherwise.

    """
    if json_:
        click.echo(terminal.json_text(json.dumps(value, indent=2, ensure_ascii=False, default=str)))
    else:
        say(text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text; control characters in it are shown, so that a terminal does not obey them. `err`: to stderr."""
    click.echo(paint.bare(terminal.lines(text)) if err else paint.for_terminal(terminal.lines(text)), err=err)


def plain(value: Any) -> Any:
    """Return a structure of dicts and lists with each text on one line, so that no text can imitate a line of output."""
    if isinstance(value, str):
        return terminal.one_line(value)
    if isinstance(value, dict):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


class Failed(Exception):
    """Raised by a command that cannot do what was asked; its text is printed."""


class Misused(Failed):
    """Raised for options that contradict each other; the command did nothing, and exits with 2, the code of wrong usage."""


def check_agent(agent: str) -> None:
    """Raise Failed unless there is such an agent."""
    if agent not in agents():
        raise Failed(f"there is no agent {agent!r}; there are: {', '.join(agents())}")


def table(rows: Sequence[Sequence[Any]], *, cut: bool = False) -> str:
    """Return rows as text with aligned columns.

    Args:
        rows: The cells of each row.
        cut: Whether a last cell is cut where the terminal ends; otherwise it goes on in the next line.

    """
    if not rows:
        return ""
    texts = [[("" if cell is None else terminal.one_line(cell)) for cell in row] for row in rows]
    widths = [max(map(paint.columns_of, column)) for column in zip(*texts, strict=True)]
    return "\n".join(_line(row, widths, cut=cut) for row in texts)


def _line(row: list[str], widths: list[int], *, cut: bool) -> str:
    *cells, last = row
    begin = "".join(
        f"{cell}{' ' * (width - paint.columns_of(cell))}  " for cell, width in zip(cells, widths, strict=False)
    )
    columns, taken = paint.width(), paint.columns_of(begin)
    if not last or columns is None or taken + paint.columns_of(last) <= columns:
        return f"{begin}{last}".rstrip()
    if cut:
        return f"{begin}{paint.cut(last, columns - taken) if columns - taken >= MIN_CUT else ''}".rstrip()
    if columns - taken < MIN_LAST:
        return "\n".join([begin.rstrip(), *paint.wrapped(last, 6, " " * 6)])
    return "\n".join(paint.wrapped(last, taken, begin))


def _with_clear_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, json_: bool, **kwargs: Any) -> None:
        _log_to_stderr()
        try:
            _check_format()
            function(*args, json_=json_, **kwargs)
        except (Failed, UnusableRedis, *EXPECTED) as error:
            _fail(str(error), json_=json_, code=2 if isinstance(error, Misused) else 1)
        except StoreError as error:
            _fail(f"Redis does not answer ({clean(str(error))}); {what_to_do_about_redis()}", json_=json_)

    return wrapped


def what_to_do_about_redis() -> str:
    """Return what a person can do about a Redis that does not answer."""
    if not settings.current().embedded:
        return "start the server at REDIS_URL, or correct that address"
    found = installation.running()
    if found is None:
        return "start the system with: make up"
    return (
        f"the system runs ({found.name}, pid {found.pid}) and starts a server again that has died: "
        "look again in a few seconds; if nothing changes, restart the system"
    )


def _log_to_stderr() -> None:
    """Keep stdout for the result: what the command does may be logged, such as the end of a decision that was interrupted."""
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _check_format() -> None:
    """Raise UnusableRedis if this Redis must not be used; a Redis that is away is the command's own concern."""
    try:
        redis_format.check()
    except UnusableRedis:
        raise
    except StoreError:
        return


def _fail(why: str, *, json_: bool, code: int = 1) -> None:
    """Print the reason on stderr, and as JSON on stdout, and exit with this code."""
    if json_:
        click.echo(terminal.json_text(json.dumps({"error": why}, ensure_ascii=False)))
    say(why, err=True)
    raise click.exceptions.Exit(code)
