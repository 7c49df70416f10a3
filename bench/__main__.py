"""`python -m bench`: what the gate costs against the Celery that a user would run, in one run on this machine."""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bench import latency, processor, publishing
from bench.environment import BenchEnvironment
from bench.report import Answer, Report
from bench.sides import QUESTIONS, Question
from bench.throughput import Round, Work, one_round


def main() -> None:
    """Measure, print, and write the figures to a file if asked to."""
    asked = _arguments()
    questions = [one for one in QUESTIONS if not asked.only or one.name in asked.only]
    began, stolen, load = time.monotonic(), processor.stolen(), os.getloadavg()[0]
    report = Report(load_before=load)
    with BenchEnvironment() as environment:
        for question in questions:
            report.answers.append(_answer(environment, question, asked))
            print(report.answers[-1], flush=True)
        if not asked.only or "delay" in asked.only:
            report.published = publishing.measure(environment, asked.rounds, asked.tasks)
            print(report.published, flush=True)
        if not asked.only or "latency" in asked.only:
            report.latencies = latency.latencies(environment.redis, 1000)
    report.stolen = (processor.stolen() - stolen) / (time.monotonic() - began)
    report.load_after = os.getloadavg()[0]
    print(report)
    if asked.json:
        asked.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")


def _answer(environment: BenchEnvironment, question: Question, asked: Any) -> Answer:
    """Let the sides of a question alternate for so many rounds."""
    work = Work(asked.tasks, asked.tasks // 5, question.pool, question.concurrency)
    rounds: dict[str, list[Round]] = {side.name: [] for side in question.sides}
    for number in range(asked.rounds):
        # Each second round goes backwards, so that no side always comes after the same other one.
        for side in question.sides if number % 2 == 0 else reversed(question.sides):
            with environment.flower(side.app) if question.flower else nullcontext():
                rounds[side.name].append(one_round(environment, side, work))
    return Answer(question, asked.tasks, rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=1500, help="timed tasks in each round")
    parser.add_argument(
        "--only", action="append", choices=[*(one.name for one in QUESTIONS), "delay", "latency"], help="repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
