"""The mailed report: a plain text, and a page whose charts are pictures within the mail. The same report has the same bytes."""

from __future__ import annotations

import email.policy
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

import settings
from clients.text.words import counted
from state import hints
from state.terminal import one_line
from tasks.reporter import charts
from tasks.reporter.daily_report import MAX_POSTS, AgentReport, DailyReport
from tasks.reporter.mailing import pictures as draw
from tasks.reporter.mailing.pictures import Picture

TEMPLATES = Path(__file__).with_name("templates")
#: Characters of a subject.
MAX_SUBJECT = 150
#: ASCII, lines of SMTP, and no line longer than readers like.
POLICY = email.policy.SMTP.clone(cte_type="7bit", max_line_length=76)


def build(report: DailyReport) -> str:
    """Return the message, in ASCII with CRLF; From, To and Message-ID belong to the letters."""
    pictures = _Pictures(report)
    values = {"report": report, "pictures": pictures, "most_posts": MAX_POSTS, "url": _url(report)}
    message = EmailMessage(policy=POLICY)
    message["Subject"] = one_line(f"Gatehouse, {report.now:%-d %B}: {report.verdict}")[:MAX_SUBJECT]
    message["Date"] = format_datetime(report.now)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_render("report.txt", **values), cte="quoted-printable")
    message.add_alternative(_render("report.html", **values), subtype="html", cte="quoted-printable")
    page = message.get_payload()[1]  # type: ignore[index]  # the parts of what add_alternative made
    assert isinstance(page, EmailMessage)  # noqa: S101 - likewise
    for each in pictures.all:
        page.add_related(
            each.png,
            "image",
            "png",
            cid=f"<{each.name}@gatehouse>",
            disposition="inline",
            filename=f"{each.name}.png",
        )
    for part, name in ((message, "parts"), (page, "pictures")):
        part.set_boundary(f"=_{name}_{report.now:%Y%m%d}_")
    return message.as_bytes().decode("ascii")


class _Pictures:
    """The pictures of a report."""

    def __init__(self, report: DailyReport) -> None:
        self.runs = draw.runs(report)
        self.weeks = {each.name: draw.week(n, each) for n, each in enumerate(report.agents, 1)}
        self.ran = [each for each in report.agents if each.week.runs]
        slowest = max((each.week.slow_ms or 0 for each in self.ran), default=0)
        whole = charts.scale(slowest)
        self.durations = {each.name: draw.durations(n, each, whole) for n, each in enumerate(self.ran, 1)}

    @property
    def all(self) -> list[Picture]:
        return [self.runs, *self.weeks.values(), *self.durations.values()]


def _url(report: DailyReport) -> str:
    return f"{settings.current().public_url}/reports/{report.now.date().isoformat()}.html"


def _render(template: str, **values: object) -> str:
    """Return a template's text; characters that Unicode does not allow are replaced."""
    text = _templates().get_template(template).render(**values)
    return text.encode(errors="replace").decode()


@cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined,
    )  # fmt: skip
    env.globals |= {"counted": counted, "gatehouse": hints.gatehouse, "last_run": _last_run}
    env.filters |= {
        "duration": charts.duration,
        "line": one_line,
        "weekday": lambda day: f"{day:%a} {day.day}",
        "day": lambda moment: f"{moment.day} {moment:%B %Y}",
        "clock": _clock,
    }
    return env


def _clock(moment: datetime, now: datetime) -> str:
    return moment.astimezone(now.tzinfo).strftime("%a %-d %b, %H:%M")


def _last_run(agent: AgentReport) -> str:
    if agent.pause:
        return "paused"
    return f"{agent.last_run:%a %H:%M}" if agent.last_run else "never ran"
