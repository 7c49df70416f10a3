"""`python -m tests.night`: produce each situation on a fresh clone, from its alert to its cause and its cure, and print a table."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.night.cures import CURES
from tests.night.house import House
from tests.night.judge import Judged, from_alert_to_cure
from tests.night.situations import OPERATIONS, SITUATIONS

TABLE = re.compile(r"(?<=<!-- night -->\n).*?(?=<!-- end -->)", re.DOTALL)
HEAD = "| situation | alert after | command | commands needed | seconds | cure | seconds |\n|---|---|---|---|---|---|---|\n"
#: Seconds from the alert to the cause, and from the cause to the cure, that a person may need.
A_MINUTE = 60.0


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
        page.write_text(TABLE.sub(lambda old: with_rows(old[0], judged), page.read_text()))
    has_all = len(judged) == len(given.only or SITUATIONS)
    return (
        0
        if has_all and all(each.commands == 1 and each.seconds < A_MINUTE and each.cure < A_MINUTE for each in judged)
        else 1
    )


def run(folder: Path, names: list[str], show: bool) -> list[Judged]:
    house = House(folder)
    judged = []
    try:
        house.install()
        print(HEAD, end="", flush=True)
        for name in names:
            house.reset()
            try:
                SITUATIONS[name].produce(house)
                judged.append(from_alert_to_cure(house, SITUATIONS[name]))
            except AssertionError as error:  # the others are worth a try
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                continue
            print(row(judged[-1]), end=judged[-1].output + "\n" if show else "", flush=True)
    finally:
        house.close()
    return judged


def with_rows(table: str, judged: list[Judged]) -> str:
    """Return the table with new rows for these situations; the other rows stay if the table has the same head."""
    new = {each.situation.name: row(each) for each in judged}
    lines = table.splitlines(keepends=True) if HEAD in table else []
    old = {line.partition("[")[2].partition("]")[0]: line for line in lines if line.startswith("| [")}
    rows = [(old | new)[name] for name in SITUATIONS if name in old | new]
    return f"{where()}\n\n{HEAD}{''.join(rows)}"


def where() -> str:
    """Return when and on what kind of machine the table was made."""
    load = os.getloadavg()[2]
    return f"Made on {datetime.now(UTC):%Y-%m-%d}, on {os.cpu_count()} cores with a load of {load:.1f}."


def row(judged: Judged) -> str:
    """Return the line of the table."""
    name, page, cure = judged.situation.name, judged.situation.page, CURES[judged.situation.name]
    alert = f"none: {cure.silence}" if judged.alert is None else f"{judged.alert:.0f} s"
    look = f"`{judged.situation.command}` | {judged.commands or 'more'} | {judged.seconds:.1f}"
    return f"| [{name}]({page}.md) | {alert} | {look} | {cure.text} | {judged.cure:.1f} |\n"


if __name__ == "__main__":
    sys.exit(main())
