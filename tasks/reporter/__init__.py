"""The reporter: writes a daily page about what all agents did in the last seven days."""

from __future__ import annotations

from datetime import datetime

import gatekeeper
import settings
from gatekeeper.policies.spec import agents
from gatekeeper.tables import config_lines
from tasks.reporter import collect, daily_report, stats
from tasks.reporter.archive import ReportArchive

#: Seconds. On a first start all agents run at once, so the first report is made again after their runs.
FIRST_RUNS_SECONDS = 10


@gatekeeper.task()
def report() -> dict[str, str]:
    """Write today's report, which replaces an earlier one of the same day; the first report ever is soon made again.

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
    memory.put("newest_report", summary)
    memory.count("total_reports")
    return summary
