"""The templates of the desk: they escape every value, and show characters that nobody would see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape

from state import decision_link, hints, terminal
from web.desk import ticket
from workers.commands import times

FOLDER = Path(__file__).with_name("templates")
#: The joiners of emojis and of words in some scripts, which belong to what a reader sees.
_JOINERS = ("\u200d", "\u200c")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a page; a template without one of its values is a bug, which jinja2 raises."""
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """Return the templates with their filters."""
    env = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, finalize=_finalize,
    )  # fmt: skip
    env.filters |= {
        "ago": lambda time: times.ago(time, datetime.now(UTC)),
        "clock": lambda time: times.clock(time, datetime.now(UTC)),
        "instant": lambda time: times.parsed(time).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "key_path": lambda key, agent: decision_link.key_path(agent, key).lstrip("/"),
        "span": times.span,
        "segment": lambda text: quote(str(text), safe=""),
        "ticket": ticket.write,
        "exact": lambda text: escape(str(text)),  # of a field that is sent back
    }
    env.globals |= {"gatehouse": hints.gatehouse}
    return env


def visible(text: str) -> str:
    r"""Return a text in which controls and marks that turn or hide text are spelt out, such as `\u202e`."""
    for joiner in _JOINERS:
        if joiner in text:
            return joiner.join(visible(part) for part in text.split(joiner))
    return terminal.lines(text)


def _finalize(value: Any) -> Any:
    """Return what a template shows of a value; Markup, which a template made, stays."""
    return visible(value) if type(value) is str else value
