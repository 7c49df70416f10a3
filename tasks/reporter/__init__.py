"""The reporter: writes a daily page about what all agents did in the last seven days, and mails it."""

from __future__ import annotations

from datetime import date, datetime

import gatekeeper
import settings
from clients import mail as mails
from gatekeeper import Effect
from gatekeeper.policies.spec import agents
from gatekeeper.tables import config_lines
from tasks.reporter import collect, daily_report, mailing, stats
from tasks.reporter.archive import ReportArchive
from tasks.reporter.daily_report import DailyReport

#: Seconds. On a first start all agents run at once, so the first report is made again after their runs.
FIRST_RUNS_SECONDS = 10


def remember(answer: str, recipient: str) -> None:
    """Count a report that was mailed."""
    memory = gatekeeper.memory()
    memory.put("last_mail", {"to": recipient, "answer": answer})
    memory.count("total_mailed")


@gatekeeper.task(key="mail:{day}:{recipient}", effect=Effect(then=remember), max_age="2d")
def mail(day: date, recipient: str) -> str:
    """Mail the report of one day to one address of REPORT_TO, and return the mail server's answer.

    Each address has a key of its own: one that the server refuses does not make the others get the report twice.

    Raises:
        gatekeeper.Refused: There is no such report or recipient, or no mail server.
        NotApplied: The server has not taken the letter.
        OutcomeUnknown: The server may have taken it, and a person has to look.

    """
    key, server = f"mail:{day}:{recipient}", mails.own_server()
    if server is None:
        raise gatekeeper.Refused("there is no mail server; set SMTP_URL")
    if recipient not in settings.current().report_to:
        raise gatekeeper.Refused(f"{recipient[:100]!r} is not in REPORT_TO, and reports go to nobody else")
    message = mailing.get(day.isoformat())
    if message is None:
        raise gatekeeper.Refused(f"there is no report of {day} to mail; run the reporter's task on that day")
    with gatekeeper.effect(payload=mails.complete(message, recipient, key)) as letter:
        return mails.deliver(server, letter)


@gatekeeper.task()
def report() -> dict[str, str]:
    """Write today's report, which replaces an earlier one of the same day; the first report ever is soon made again.

    It is mailed to each address of REPORT_TO, once a day.

    Returns:
        The report's `day` and `url`, and its first two sentences (`verdict` and `lead`).

    """
    here = settings.current()
    now = datetime.now(config_lines.zone(config_lines.load(config_lines.SCHEDULE)))
    since = stats.beginning(now)
    written = daily_report.build(collect.all_agents(agents(), since, here.public_dir), now, collect.desk(since))
    day = ReportArchive(here.public_dir).put(written)
    summary = {
        "day": day,
        "url": f"{here.web_url}/reports/{day}.html",
        "verdict": written.verdict,
        "lead": written.lead,
    }
    memory = gatekeeper.memory()
    if memory.get("newest_report") is None:
        report.apply_async(countdown=FIRST_RUNS_SECONDS)
    else:
        _mail(written)
    memory.put("newest_report", summary)
    memory.count("total_reports")
    return summary


def _mail(written: DailyReport) -> None:
    """Submit a letter per recipient; that of a day that has its key already is refused by the gate."""
    here = settings.current()
    if not here.smtp_url or not here.report_to:
        return
    day = written.now.date()
    mailing.put(day.isoformat(), mailing.build(written))
    for recipient in here.report_to:
        if mail.key_state(day=day, recipient=recipient) in {None, "rejected"}:
            mail.delay(day=day, recipient=recipient)
