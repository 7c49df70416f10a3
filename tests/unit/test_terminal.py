"""Untrusted text is shown on a terminal, which never acts on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import settings
from deploy.log_file import LogFile
from deploy.output import Lines, Output, TerminalOutput
from state import terminal
from state.journal import records

#: Texts that clear the screen, write the clipboard, make a link, set the title, ring the bell, hide text or turn its direction.
HOSTILE = [
    "\x1b[2J\x1b[H", "\x1b]52;c;ZXZpbA==\x07", "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "\x9b31m", "\x9d0;title\x9c",
    "\x90q\x9c", "\a", "\b\b\b", "a\rb", "\x7f", "\v\f", "\x00", "\u202eexe.txt", "\u2066x\u2069", "a\u200bb", "\u200f",
    "\ufeff", "\u2028line", "\u2029", "\u0085", "\ud800", "\U000e0041\U000e0042", "\u115f", "\u3164", "\u00ad",
]  # fmt: skip
#: Texts that people write.
ORDINARY = [
    "plain",
    "grün",
    "日本語",
    "עברית",
    "العربية",
    "emoji 🚀",
    "é é",
    "tab in a path/x",
    "a\u00a0b",
    "—…“”",
    "\\x1b",
]


def obeyed(text: str, *, but: str = "\n\t") -> list[str]:
    """Return the characters on which a terminal would act, or which it would not show."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [c for c in text if c not in but and (unicodedata.category(c) in kinds or c in "\u115f\u1160\u3164\uffa0")]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_spelt_out(text: str) -> None:
    for safe in (terminal.one_line, terminal.lines):
        shown = safe(f"before {text} after")
        assert obeyed(shown) == []
        assert shown.startswith("before ")
        assert shown.endswith(" after")


@pytest.mark.parametrize("text", ORDINARY)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert terminal.one_line(text) == terminal.lines(text) == text
    assert terminal.json_text(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False)


def test_every_character_that_unicode_calls_a_control_or_a_direction_is_covered() -> None:
    # Cf also has visible Arabic signs and hieroglyphs, which change nothing
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460)}

    missed = [c for c in obeyed("".join(map(chr, range(sys.maxunicode + 1))), but="") if terminal.one_line(c) == c]

    assert {ord(c) for c in missed} - visible == set()


def test_line_breaks_stay_only_where_they_may() -> None:
    assert terminal.lines("a\n\tb\r\n") == "a\n\tb\\r\n"
    assert terminal.one_line("a\n\tb\r\n") == "a\\n\\tb\\r\\n"
    assert terminal.one_line("\x1b\x9b\u202e\U000e0041") == "\\x1b\\x9b\\u202e\\U000e0041"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_json_keeps_its_meaning_and_is_safe_to_look_at(text: str) -> None:
    value = {text: [text, {"inner": text}]}

    shown = terminal.json_text(json.dumps(value, indent=2, ensure_ascii=False))

    assert json.loads(shown) == value
    assert obeyed(shown, but="\n") == []


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_record_of_the_journal_is_safe_to_look_at_and_read_back(text: str) -> None:
    line = records.encode("intent", {"agent": "a", "key": f"k:{text}", "payload": {"text": text}})

    found = records.decode(line)

    assert obeyed(line.decode(), but="\n") == []
    assert found["payload"] == {"text": text.replace("\ud800", "?")}


# Writers


def logged(log_format: str, code: str) -> str:
    """Return what a process with these log calls writes."""
    prelude = f"import structlog, logging\nfrom gatekeeper import logs\nHOSTILE = {HOSTILE!a}\nlogs.configure()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + code], cwd=settings.ROOT, capture_output=True, check=True,
        env={**os.environ, "LOG_FORMAT": log_format, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    return done.stdout.decode() + done.stderr.decode()


LOGGERS = """
log = structlog.get_logger("x")
for text in HOSTILE:
    log.info("event " + text, path=text, nested={"a": [text]}, **{"k": text})
    logging.getLogger("celery.x").warning("library %s", text)
    for name in ("x", "uvicorn.error"):
        try:
            raise ValueError("raised " + text + "\\n2026-11-29T00:00:00Z [info     ] a forged line")
        except ValueError:
            logging.getLogger(name).exception("failed %s", text)
            log.exception("failed")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_log_line_of_ours_or_of_a_library_is_obeyed(log_format: str) -> None:
    said = logged(log_format, LOGGERS)

    assert obeyed(said) == []
    assert said.count("raised") >= 4 * len(HOSTILE)
    assert not [line for line in said.splitlines() if line.startswith("2026-11-29T00:00:00Z")]
    if log_format == "json":
        events = [json.loads(line)["event"] for line in said.splitlines()]
        assert events[0] == f"event {HOSTILE[0]}"


def test_a_line_of_the_console_cannot_begin_another() -> None:
    said = logged("console", "structlog.get_logger('x').info('path /a\\n2026 [error] forged', why='x\\ny')")

    assert len(said.splitlines()) == 1


def test_make_up_shows_what_processes_print_without_obeying_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = TerminalOutput(["web"], LogFile(tmp_path / "up.jsonl"), colour=False)
    ours, theirs = os.pipe()
    text = "\n".join(each.replace("\r", "") for each in HOSTILE)
    os.write(theirs, text.encode(errors="surrogatepass") + b"\r\n\xff\x9b1m\n")
    os.close(theirs)
    lines = Lines("web", ours, output)
    while lines.relay():
        pass
    os.close(ours)
    output.log("died\n", how="\x1b[2J\nforged | line")
    for text in HOSTILE:
        output.show("web", json.dumps({"event": text, "level": "error", "key": text, "why": text, "exception": text}))

    shown = capfd.readouterr().out

    assert obeyed(shown) == []
    begin = re.compile(r"\d\d:\d\d:\d\d  (web|up)  +\S| {21}")  # an exception keeps its lines, indented
    assert all(begin.match(line) for line in shown.split("\n") if line)


def test_make_up_speaks_json_without_obeying_it(capfd: pytest.CaptureFixture[str]) -> None:
    Output().log("died", how="".join(HOSTILE))

    assert obeyed(capfd.readouterr().out) == []


def test_every_word_of_a_command_goes_through_the_one_place() -> None:
    """A `click.echo` or a `print` in a command would bypass the escaping."""
    ways = [
        f"{path.relative_to(settings.ROOT)}: {line.strip()}"
        for folder in ("workers/commands", "deploy", "web", "gatekeeper", "clients", "tasks", "state")
        for path in sorted((settings.ROOT / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if ("click.echo(" in line or " print(" in line or "click.secho(" in line) and "terminal." not in line
    ]

    assert ways == []
