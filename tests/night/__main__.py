"""`python -m tests.night`: produce each situation on a fresh clone, run the one command of its page, and print a table."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.night.house import House
from tests.night.judge import Judged, judge
from tests.night.situations import OPERATIONS, SITUATIONS

TABLE = re.compile(r"(?<=<!-- night -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEAD = "| situation | command | commands needed | seconds |\n|---|---|---|---|\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.night", description=__doc__)
    parser.add_argument("--only", action="append", choices=SITUATIONS, help="this situation; may be given again")
    parser.add_argument("--folder", type=Path, help="where to put the clone; one that is there is used again")
    parser.add_argument("--write", action="store_true", help="put the table into docs/operations/README.md")
    parser.add_argument("--show", action="store_true", help="print what each command printed")
    given = parser.parse_args()
    judged = run(given.folder or Path(tempfile.mkdtemp(prefix="night-")), given.only or list(SITUATIONS), given.show)
    if given.write:
        page = OPERATIONS / "README.md"
        page.write_text(TABLE.sub(lambda _: f"{where()}\n\n{HEAD}{''.join(map(row, judged))}", page.read_text()))
    return 0 if all(each.commands == 1 for each in judged) else 1


def run(folder: Path, names: list[str], show: bool) -> list[Judged]:
    house = House(folder)
    judged = []
    try:
        house.install()
        print(HEAD, end="", flush=True)
        for name in names:
            house.reset()
            SITUATIONS[name].produce(house)
            judged.append(judge(house, SITUATIONS[name]))
            print(row(judged[-1]), end=judged[-1].output + "\n" if show else "", flush=True)
    finally:
        house.close()
    return judged


def where() -> str:
    """Return when and on what kind of machine the table was made."""
    load = os.getloadavg()[2]
    return f"Made on {datetime.now(UTC):%Y-%m-%d}, on {os.cpu_count()} cores with a load of {load:.1f}."


def row(judged: Judged) -> str:
    """Return the line of the table."""
    name, page = judged.situation.name, judged.situation.page
    return (
        f"| [{name}]({page}.md) | `{judged.situation.command}` | {judged.commands or 'more'} | {judged.seconds:.1f} |\n"
    )


if __name__ == "__main__":
    sys.exit(main())
