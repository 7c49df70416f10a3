"""Write the tables into docs/hosts.md, between two marks."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.hosts.result import HEAD, LIMIT_HEAD, Limited, Result, table

BEGIN, END = "<!-- written by make hosts: -->", "<!-- end of what make hosts wrote -->"
PART = """{begin}

`make hosts` wrote these tables on {day}, in {minutes} minutes, on a machine with {cores} cores, {system}, Python {python}.

{scenarios}

{limits}

{end}"""


def write(path: Path, results: Sequence[Result], limited: Sequence[Limited], seconds: float) -> None:
    """Replace what is between the marks."""
    before, _, rest = path.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(before + part(results, limited, seconds) + after)


def part(results: Sequence[Result], limited: Sequence[Limited], seconds: float) -> str:
    """Return what stands between the marks, with them."""
    return PART.format(
        begin=BEGIN,
        end=END,
        day=datetime.now(UTC).date(),
        minutes=round(seconds / 60, 1),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        scenarios=table(HEAD, [each.row for each in results]),
        limits=table(LIMIT_HEAD, [each.row for each in limited]),
    )
