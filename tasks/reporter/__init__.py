"""The reporter: once a day, a page about what all agents did in the last days."""

from __future__ import annotations

from datetime import datetime

import gatekeeper
import settings
from gatekeeper.policies.spec import agents
from gatekeeper.tables import config_lines
from tasks.reporter import collect, daily_report, stats
from tasks.reporter.archive import ReportArchive

#: Seconds. On a first start all agents begin at once: a report made at that moment would stay empty until tomorrow.
FIRST_RUNS = 10


@gatekeeper.task()
def report() -> dict[str, str]:
    """Write today's report; the same day again replaces it. The very first one is soon made anew."""
    here = settings.current()
    now = datetime.now(config_lines.zone(config_lines.load(config_lines.SCHEDULE)))
    written = daily_report.build(collect.all_agents(agents(), stats.beginning(now), here.public_dir), now)
    day = ReportArchive(here.public_dir).put(written)
    told = {"day": day, "url": f"{here.web_url}/reports/{day}.html", "verdict": written.verdict, "lead": written.lead}
    memory = gatekeeper.memory()
    if memory.get("newest_report") is None:
        report.apply_async(countdown=FIRST_RUNS)
    memory.put("newest_report", told)
    memory.count("total_reports")
    return told
