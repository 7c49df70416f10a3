"""The bench of speed counts every call of every process once, and compares rounds of one turn."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processor
from bench.peers.adapters import processed
from bench.peers.speed.page import BEGIN, END, replace_part
from bench.peers.speed.round import Round, Rounds, check_once, one_round
from bench.peers.speed.side import Side
from bench.peers.speed.sides import GATEHOUSE, PLAIN, SIDES
from bench.peers.speed.table import Table
from settings import ROOT
from tests.harness import GaveUp, patient, until

#: Counts in four threads of a process and in four of its child, which has forked after the first count.
COUNTS = """
import os, threading
from bench import processor
from bench.peers.adapters import processed
def count(): [processed.count() for _ in range(500)]
processed.count()
child = os.fork()
threads = [threading.Thread(target=count) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
if child: os.waitpid(child, 0)
"""

#: A process and its child that work, say how much processor time they took, and stay.
WORKS = """
import os, sys, time
child = os.fork()
while time.process_time() < 0.2: pass
open(f"{sys.argv[1]}/{os.getpid()}", "w").write(str(time.process_time()))
time.sleep(60)
"""


def a_round(rate: float) -> Round:
    return Round(rate, 1, 1, rate, 1, 1)


def both(folder: Path) -> list[float] | None:
    """What both processes said, or None until they have."""
    texts = [file.read_text() for file in folder.iterdir()]
    return [*map(float, texts)] if len(texts) == 2 and all(texts) else None


def test_every_call_of_each_thread_and_process_is_counted(tmp_path: Path) -> None:
    env = {**os.environ, "COUNTS_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", COUNTS], env=env, cwd=ROOT, check=True, timeout=patient(60))

    done, last = processed.read(tmp_path)

    assert done == 4001
    assert last > 0
    assert len(list(tmp_path.iterdir())) == 2


def test_the_processor_time_of_a_worker_has_that_of_its_children(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", WORKS, str(tmp_path)], start_new_session=True)
    try:
        said = until(lambda: both(tmp_path), what="both processes to say their time")
        assert processor.seconds(leader.pid) > 0.9 * sum(said)
    finally:
        os.killpg(leader.pid, 9)
        leader.wait()


def test_a_round_that_ran_a_call_twice_is_not_a_figure(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(processed.FORM.pack(3, 1.0))

    with pytest.raises(GaveUp, match="3 calls are processed, 2 were asked for"):
        check_once(tmp_path, 2)


def test_a_ratio_compares_the_rounds_of_one_turn() -> None:
    ours, theirs = [100.0, 200.0, 300.0], [100.0, 50.0, 100.0]  # the medians, 200 and 100, are of different turns
    table = str(Table({GATEHOUSE: [*map(a_round, ours)], PLAIN: [*map(a_round, theirs)]}, {}, {}))

    [row, _] = [line for line in table.splitlines() if line.startswith("| Celery, late acks | 1")]
    assert row == "| Celery, late acks | 100 | 50 to 100 | 3.00 | 1 | 1 |"


def test_a_side_that_failed_says_why_and_leaves_the_others() -> None:
    found: dict[Side, Rounds] = {GATEHOUSE: [a_round(100.0)], PLAIN: [None]}
    table = str(Table(found, {PLAIN: "not run: it did not start"}, {}))

    assert "| Celery, late acks | not run: it did not start |" in table
    assert "| Gatehouse | 100 | 100 to 100 |  | 1 | 1 |" in table


def test_a_page_keeps_what_stands_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    replace_part(page, "new")

    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_page_without_marks_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END} {BEGIN}")

    with pytest.raises(ValueError, match="has no"):
        replace_part(page, "new")

    assert page.read_text() == f"{END} {BEGIN}"


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.title)
def test_each_side_has_what_it_asks_for_in_its_adapter_and_its_packages_pinned(side: Side) -> None:
    adapters = ROOT / "bench" / "peers" / "adapters"
    tree = ast.parse((adapters / f"{side.adapter}.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    pinned = {line.split("==")[0] for line in (adapters.parent / "requirements.txt").read_text().splitlines()}

    assert side.enqueue in functions
    assert set(side.packages) <= pinned


def test_workers_that_do_not_start_end_the_round_with_what_they_said() -> None:
    broken = Side("broken", "gatehouse", (), "no_such_module", "", env=GATEHOUSE.env)

    with pytest.raises(GaveUp, match=r"(?s)0 of .* calls are processed.*No module named no_such_module"):
        one_round(broken, Path(sys.executable), 5)


@pytest.mark.slow
@pytest.mark.parametrize("side", [side for side in SIDES if not side.packages], ids=lambda side: side.title)
def test_a_round_of_gatehouse_runs_each_call_once(side: Side) -> None:
    found = one_round(side, Path(sys.executable), 400)  # Linux counts processor time in hundredths of a second

    assert min(found.tasks_per_second, found.worker, found.calls_per_second, found.caller) > 0
