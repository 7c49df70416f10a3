"""What `make up` shows of an event on a terminal, and what it leaves to the log file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploy import log_file, short_lines
from deploy.log_file import LogFile
from deploy.output import TerminalOutput

PUBLISH: dict[str, Any] = {
    "agent": "publisher",
    "task": "tasks.publisher.publish",
    "call": "c1",
    "key": "publish:feed:hello",
    "attempt": 1,
}
TICK: dict[str, Any] = {
    "agent": "analyst",
    "task": "tasks.analyst.collect",
    "call": "tick:a:1",
    "key": "tick:a:1",
    "attempt": 1,
}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"event": "published", **PUBLISH, "post": "hello", "destination": "feed", "url": "http://x/hello.html"},
         "published hello → feed  http://x/hello.html"),
        ({"event": "done", **PUBLISH, "ms": 12}, "publish:feed:hello done"),
        ({"event": "done", **TICK}, "collect done"),
        ({"event": "done", **TICK, "key": "tasks.analyst.collect:c7"}, "collect done"),
        ({"event": "failed", **PUBLISH, "level": "error", "error": "401: bad token; change MASTODON_TOKEN"},
         "publish:feed:hello failed: 401: bad token; change MASTODON_TOKEN"),
        ({"event": "failed", **PUBLISH, "level": "error", "error": "connection refused", "retry_after": 15.0},
         "publish:feed:hello failed: connection refused; again in 15 s"),
        ({"event": "unknown", **PUBLISH, "level": "error", "error": "read timed out"},
         "publish:feed:hello is in doubt: read timed out"),
        ({"event": "refused", **PUBLISH, "error": "rate limited", "stage": "rate", "retry_after": 12.5},
         "publish:feed:hello refused: rate limited; again in 12.5 s"),
        ({"event": "deferred", **PUBLISH, "error": "paused", "stage": "paused"}, "publish:feed:hello deferred: paused"),
        ({"event": "refused", **PUBLISH, "error": "paused", "stage": "paused", "why": "to look"},
         "publish:feed:hello refused: paused: to look"),
        ({"event": "replayed", **PUBLISH}, "publish:feed:hello replayed: it was done before"),
        ({"event": "process started", "process": "web", "pid": 7}, "web started"),
        ({"event": "process died, starts again in 2 s", "level": "warning", "process": "web", "reason": "exit code 1"},
         "process died, starts again in 2 s web: exit code 1"),
        ({"event": "effects are closed", "level": "critical", "agent": "publisher", "why": "redis lost data",
          "hint": "run: gatehouse recover"}, "effects are closed: redis lost data; run: gatehouse recover"),
        ({"event": "alert", "level": "error", "agent": "monitor", "check": "disk", "value": "91 %", "why": "9 GB left"},
         "alert: 9 GB left; check=disk; value=91 %"),
        ({"event": "yes", "level": "error", "exception": "Traceback:\n  line\x1b[2J"}, "yes\nTraceback:\n  line\\x1b[2J"),
        ({"event": "evil \x1b[2J", "level": "warning", "why": "two\nlines"}, "evil \\x1b[2J: two\\nlines"),
        ({"event": "tick", **TICK}, ""),
        ({"event": "http", **PUBLISH, "status": 200}, ""),
        ({"event": "http", "level": "error", "error": "odd"}, "http: odd"),
        ({"event": "15 detected, shutting down", "logger": "flower.command"}, ""),
        ({"event": "Unexpected", "level": "error", "logger": "celery.worker"}, "Unexpected"),
        ({"event": "odd", "retry_after": "soon", "task": None, "key": 7}, "odd 7"),
    ],
)  # fmt: skip
def test_an_event_in_words(record: dict[str, Any], words: str) -> None:
    assert short_lines.describe({"level": "info", "timestamp": "2026-11-30T02:00:00Z", **record}) == words


@pytest.fixture
def shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    output = TerminalOutput(["worker", "beat"], LogFile(tmp_path / "up.jsonl"), colour=False)

    def show(*lines: str) -> list[str]:
        for line in lines:
            output.show("worker", line)
        return [line[len("12:34:56  ") :] for line in capfd.readouterr().out.splitlines()]

    return show


def line(event: str, level: str = "info", **fields: Any) -> str:
    return json.dumps({"event": event, "level": level, **fields})


def test_a_published_post_is_one_line_and_its_end_is_in_the_log_file(shown: Any, tmp_path: Path) -> None:
    told = line("published", **PUBLISH, post="hello", destination="feed", url="http://x/")

    assert shown(told, line("done", **PUBLISH)) == ["publisher  published hello → feed  http://x/"]
    assert shown(line("done", **PUBLISH)) == ["publisher  publish:feed:hello done"]
    assert len((tmp_path / "up.jsonl").read_text().splitlines()) == 3


def test_news_is_cut_to_the_width_and_trouble_is_whole(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    assert [len(each) for each in shown(line("news", why="x" * 200))] == [50]
    assert "x" * 200 in shown(line("refused", **PUBLISH, error="x" * 200))[0]
    for level in ("warning", "error", "critical"):
        assert "x" * 200 in shown(line("trouble", level, why="x" * 200))[0]


def test_lines_that_are_not_json_are_shown_whole_with_the_name_of_their_process(shown: Any, tmp_path: Path) -> None:
    assert shown("Traceback (most recent call last):", "[1, 2]", '{"event": 7}', "[" * 10_000)[:3] == [
        "worker     Traceback (most recent call last):",
        "worker     [1, 2]",
        'worker     {"event": 7}',
    ]
    assert shown("", "worker: Hitting Ctrl+C again will terminate all running tasks!") == []
    kept = [json.loads(each) for each in (tmp_path / "up.jsonl").read_text().splitlines()]
    assert [each["line"] for each in kept][1] == "[1, 2]"
    assert len(kept) == 6


def test_the_log_file_is_private_and_never_grows_beyond_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MAX_SIZE", 100)
    file = LogFile(tmp_path / "up.jsonl")

    for number in range(30):
        file.append(f"line {number:03}")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["up.jsonl", "up.jsonl.1"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    assert (tmp_path / "up.jsonl").read_text().endswith("line 029\n")
    LogFile(tmp_path / "up.jsonl").append("next")
    assert "line 029\nnext\n" in (tmp_path / "up.jsonl").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")  # noqa: PTH110 - a device
def test_a_full_disk_is_told_once_and_the_lines_are_shown_all_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    output = TerminalOutput(["worker"], LogFile(Path("/dev/full")), colour=False)

    for number in range(3):
        output.show("worker", line(f"event {number}"))

    told = capfd.readouterr().out
    assert told.count("cannot be written: No space left on device") == 1
    assert "event 2" in told
