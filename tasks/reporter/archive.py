"""The folder of reports: one HTML and one Markdown file per day, and an index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from jinja2 import Environment

from clients.content import pages
from clients.text.words import counted
from state import terminal
from state.files import PATIENCE, UNFINISHED, lock_file, write_atomic
from tasks.reporter import charts
from tasks.reporter.daily_report import MAX_ERRORS, MAX_POSTS, DailyReport

TEMPLATES = Path(__file__).with_name("templates")
#: Two years of days; older reports keep their files but leave the index.
MAX_LISTED = 730
CHART_HEIGHT, SMALL_CHART_HEIGHT = 160, 30

_NAME = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class ReportArchive:
    """The reports in one public folder."""

    public: Path

    @property
    def folder(self) -> Path:
        return self.public / "reports"

    def put(self, report: DailyReport) -> str:
        """Write a report and the index, and return the report's day; files of the same day are replaced."""
        name = report.now.date().isoformat()
        values = {"report": report, "most_posts": MAX_POSTS, "most_errors": MAX_ERRORS}
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_file(self.public / ".reports.lock", wait=PATIENCE):
            for unfinished in self.folder.glob(f".*{UNFINISHED}"):  # of a writer that was killed
                unfinished.unlink(missing_ok=True)
            self._write(f"{name}.md", "report.md", **values)
            self._write(f"{name}.html", "report.html", **values)
            self._write("index.html", "reports.html", reports=self.listed())
        return name

    def listed(self) -> dict[date, str]:
        """Return the newest MAX_LISTED reports with their first sentences by day, newest first."""
        files = sorted((file for file in self.folder.glob("*.md") if _NAME.fullmatch(file.stem)), reverse=True)
        return {date.fromisoformat(file.stem): _first_words(file) for file in files[:MAX_LISTED]}

    def _write(self, name: str, template: str, **values: object) -> None:
        text = _templates().get_template(template).render(**values)
        write_atomic(self.folder / name, text.encode(errors="replace"), public=True)


def _first_words(file: Path) -> str:
    """Return the first paragraph below the title of a Markdown report, for the index."""
    parts = file.read_text("utf-8", errors="replace").split("\n\n", 2)
    return " ".join(parts[1].split()) if len(parts) > 1 else ""


@cache
def _templates() -> Environment:
    env = pages.environment(TEMPLATES)
    env.globals |= {
        "stacked": charts.stacked,
        "place": charts.place,
        "scale": charts.scale,
        "ticks": charts.ticks,
        "counted": counted,
        "dash": charts.DASH,
        "chart_height": CHART_HEIGHT,
        "small_chart_height": SMALL_CHART_HEIGHT,
    }
    env.filters |= {"duration": charts.duration, "cell": _cell, "weekday": _weekday}
    return env


def _weekday(day: date) -> str:
    return f"{day:%a} {day.day}"


def _cell(value: object) -> str:
    """Escape a text for a cell of a Markdown table, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~!])", r"\\\1", terminal.one_line(" ".join(str(value).split())))
