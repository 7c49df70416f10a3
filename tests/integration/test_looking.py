"""`gate list`, `explain`, `schedule` and `status` for a person: what they find, how they say it, and what they cut."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.effects.client import EffectServer
from tests.harness import Install, forks
from tests.harness.shell import Shell

BROKEN = "---\nid: oops\ntitle: #1 reason\npublish_at: 2026-11-11T09:00:00Z\n---\nText.\n"
COMING = "---\ntitle: Later\npublish_at: {at}\n---\nText.\n"


@pytest.fixture(scope="module", autouse=True)
def lived(house: Install, shell: Shell, effect_server: EffectServer) -> None:
    """Two posts, one of them in doubt; a dead call, a refused one, a replayed one, one in the queue; three post files."""
    effect_server.clear()
    effect_server.mode("apply_then_reset", key="post:torn")
    shell.run(
        """
        import clerk
        from gatekeeper.errors import GatekeeperError
        for task, kwargs in (
            (clerk.post, {"post_id": "hello"}), (clerk.post, {"post_id": "hello"}), (clerk.post, {"post_id": "hullo"}),
            (clerk.post, {"post_id": "torn"}), (clerk.post, {"post_id": "torn"}), (clerk.complain, {"words": "it broke"}),
        ):
            try:
                task(**kwargs)
            except Exception:
                pass
        """
    )
    shell.delay("counter.add", {"a": 2, "b": 3})
    (house.content_dir / "oops.md").write_text(BROKEN)
    at = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    (house.content_dir / "later.md").write_text(COMING.format(at=at))
    (house.content_dir / "due.md").write_text(COMING.format(at="2026-11-11T09:00:00Z"))


def said(shell: Shell, *args: str) -> str:
    done = shell.celery("gate", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(shell: Shell, *args: str, code: int = 1) -> str:
    done = shell.celery("gate", *args)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


# list


def keys(rows: list[dict[str, Any]]) -> list[str]:
    return [row["key"] for row in rows]


def test_list_has_every_call_newest_first_refused_and_replayed_ones_too(shell: Shell) -> None:
    rows = shell.gate("list")

    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert {row["state"] for row in rows} == {"done", "unknown", "rejected", "queued"}
    assert sorted(keys(rows))[1:] == [
        "counter.add:" + rows[0]["call"], "post:hello", "post:hello", "post:hullo", "post:torn", "post:torn",
    ]  # fmt: skip
    assert [row["replayed"] for row in rows if row["key"] == "post:hello"] == [True, False]
    [again] = [row for row in rows if row["key"] == "post:torn" and row["state"] == "rejected"]
    assert (again["stage"], again["error"].split(":")[0]) == ("key", "outcome unknown")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "unknown"], {"post:torn"}),
        (["--state", "done", "--state", "unknown"], {"post:hello", "post:hullo", "post:torn"}),
        (["--agent", "counter"], {"counter.add"}),
        (["--task", "clerk.complain"], {"clerk.complain"}),
        (["--task", "complain"], {"clerk.complain"}),
        (["--search", "HULLO"], {"post:hullo"}),
        (["--search", "it broke"], {"clerk.complain"}),
        (["--since", "1h", "--search", "hello"], {"post:hello"}),
        (["--since", "2099-01-01"], set()),
        (["--search", "nowhere"], set()),
        (["--search", "*"], set()),
    ],
)
def test_list_takes_what_is_asked_for(shell: Shell, options: list[str], found: set[str]) -> None:
    assert {re.sub(r"^((?:counter|clerk)\.\w+):.*", r"\1", key) for key in keys(shell.gate("list", *options))} == found


def test_list_says_how_many_more_there_are(shell: Shell) -> None:
    assert len(shell.gate("list", "--limit", "2")) == 2
    assert "5 more; --limit 7 lists them" in said(shell, "list", "--limit", "2")
    assert "nothing fits" in said(shell, "list", "--search", "nowhere")


def test_list_refuses_what_it_does_not_know(shell: Shell) -> None:
    assert "no agent 'nobody'" in refused(shell, "list", "--agent", "nobody")
    assert "--since 'soon'" in refused(shell, "list", "--since", "soon", code=2)
    assert "'gone' is not one of" in refused(shell, "list", "--state", "gone", code=2)


def test_a_large_database_is_not_read_whole_and_that_is_said(shell: Shell) -> None:
    code = """
        from state.agents import calls
        from state.agents.calls import Wanted
        calls.MAX_KEYS, kept = {limit}, calls.MAX_KEYS
        found = calls.newest(["clerk", "counter"], Wanted(text={text!r}))
        calls.MAX_KEYS = kept
        answer = [sorted({{each.key.partition(":")[2] or each.key for each in found.calls}}), found.cut]
    """
    names, cut = shell.run(code.format(limit=1, text=""))
    sought, searched = shell.run(code.format(limit=1, text="hullo"))

    assert {"hello", "torn", "hullo"} <= set(names)
    assert "only what is open" in cut
    assert (sought, searched) == (["hullo"], "")


@pytest.fixture
def a_million_keys(store: redis.Redis) -> Iterator[None]:
    names = [f"gate:{{clerk}}:key:bulk:{number}" for number in range(1_000_000)]
    batches = [names[at : at + 20_000] for at in range(0, len(names), 20_000)]
    for batch in batches:
        with store.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.hset(name, mapping={"state": "done", "task": "clerk.post"})
            pipe.execute()
    yield
    for batch in batches:
        store.unlink(*batch)


@pytest.mark.slow
@pytest.mark.usefixtures("a_million_keys")
def test_among_a_million_keys_the_newest_are_found_within_seconds(shell: Shell) -> None:
    began = datetime.now(UTC)
    rows = shell.gate("list", "--state", "unknown")
    told = said(shell, "list")
    found = refused(shell, "explain", "ulk:99998")
    took = (datetime.now(UTC) - began).total_seconds()

    assert keys(rows) == ["post:torn"]
    assert "keys, so only what is open" in told
    assert re.search(r"fits \d+ keys", found)  # 11, if the search has the time to see all
    assert took < 60


# explain


def test_explain_begins_with_three_sentences_and_a_command(shell: Shell) -> None:
    lines = said(shell, "explain", "post:torn").splitlines()

    assert lines[0].startswith("post:torn  UNKNOWN  (clerk.post, 1 attempt)")
    for question, line in zip(("Posted?", "Why?", "What now?"), lines[1:4], strict=True):
        assert line.startswith(question)
    assert any("gatehouse resolve post:torn --applied" in line for line in lines)
    assert re.search(r"^\d\d:\d\d:\d\d  .*(ago|now)  sending", "\n".join(lines), re.MULTILINE)
    assert "fence=" not in "\n".join(lines)
    assert "fence=" in said(shell, "explain", "post:torn", "--verbose")


@pytest.mark.parametrize(
    ("text", "key"),
    [("post:hel", "post:hello"), ("post:to", "post:torn"), ("hullo", "post:hullo"), ("ost:hello", "post:hello")],
)
def test_explain_takes_the_beginning_a_post_and_a_part_of_a_key(shell: Shell, text: str, key: str) -> None:
    assert shell.gate("explain", text)["key"] == key


def test_explain_takes_the_beginning_of_a_calls_id(shell: Shell) -> None:
    [call] = {row["call"] for row in shell.gate("list", "--state", "queued")}

    assert shell.gate("explain", call[:10])["call"] == call


def test_explain_lists_the_candidates_of_an_ambiguous_beginning(shell: Shell) -> None:
    told = refused(shell, "explain", "post:h")

    assert "post:hello" in told
    assert "post:hullo" in told
    assert "list --search post:h" in told


def test_explain_of_a_post_tells_of_each_of_its_destinations(shell: Shell, store: redis.Redis) -> None:
    for key in ("post:feed:twin", "post:other:twin"):
        store.hset(f"gate:{{clerk}}:key:{key}", mapping={"state": "done", "task": "clerk.post"})

    told = said(shell, "explain", "twin")

    assert told.count("Posted? ") == 2
    assert {each["key"] for each in shell.gate("explain", "twin")["keys"]} == {"post:feed:twin", "post:other:twin"}
    store.delete("gate:{clerk}:key:post:feed:twin", "gate:{clerk}:key:post:other:twin")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("post:helllo", "explain post:hello"),
        ("lator", "explain later"),
        ("clerk", "status clerk"),
        ("zzzzzzzz", "list"),
    ],
)
def test_explain_says_what_may_be_meant(shell: Shell, wrong: str, meant: str) -> None:
    assert f"gatehouse {meant}" in refused(shell, "explain", wrong)


def test_explain_of_a_refused_call_names_the_call_in_its_way(shell: Shell) -> None:
    [call] = [row["call"] for row in shell.gate("list", "--state", "rejected", "--search", "torn")]

    told = said(shell, "explain", call)

    assert re.search(r"^Posted\? +No\.$", told, re.MULTILINE)
    assert "outcome unknown" in told
    assert "gatehouse explain" in told


@pytest.mark.parametrize(
    ("post", "happened", "why"),
    [
        ("later", "No, not yet", "It is due"),
        ("due", "No, not yet", "did not submit it"),
        ("oops", "its file is broken", "title"),
    ],
)
def test_explain_of_a_post_without_a_call_says_what_its_file_says(
    shell: Shell, post: str, happened: str, why: str
) -> None:
    told = said(shell, "explain", post)

    assert re.search(rf"^Posted\? .*{happened}", told, re.MULTILINE)
    assert re.search(rf"^Why\? .*{why}", told, re.MULTILINE)
    assert shell.gate("explain", post)["post"] == post


# schedule


def test_schedule_shows_last_next_and_missed_and_the_posts_to_come_and_broken(shell: Shell) -> None:
    done = shell.celery("gate", "schedule")
    rows = json.loads(shell.celery("gate", "schedule", "--json").stdout)

    assert re.search(r"entry +cron +last tick +next +missed", done.stdout)
    assert {"last", "next", "missed_ticks", "state"} <= set(rows[0])
    assert re.search(r"posts to come\n.* in 3 h +later ", done.stdout)
    assert re.search(r"broken posts\n.*oops\.md: .*title", done.stdout)
    states = {each["post"]: each["state"] for each in shell.gate("schedule", "--posts")}
    assert states == {"later": "to come", "due": "due", "oops": "broken"}


# status


def test_status_tells_trouble_first_and_then_one_row_per_agent(shell: Shell) -> None:
    told = said(shell, "status")
    trouble, _, rows = told.partition("\nagent ")

    for what in ("SILENT  worker", "post:torn is unknown", "it broke", "oops.md"):
        assert what in trouble, told
    for command in ("gatehouse explain post:torn", "gatehouse explain oops"):
        assert command in trouble
    for agent in ("clerk", "counter", "publisher"):
        assert len(re.findall(rf"^{agent} +NOT RUNNING ", rows, re.MULTILINE)) == 1


def test_a_refusal_by_a_pause_is_in_the_status(shell: Shell) -> None:
    shell.gate("pause", "clerk", "--why", "looking")
    shell.run("import clerk; clerk.post(post_id='while-paused')")

    told = said(shell, "status", "clerk")

    assert "PAUSED by " in told
    assert "a call of clerk.post refused by paused in the last 24 h" in told
    shell.gate("resume", "clerk")


@pytest.fixture
def terminal(house: Install) -> Any:
    """Runs a command as on a terminal of that width; answers what it wrote."""

    def run(columns: int, *args: str, **env: str) -> str:
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "celery", "-A", "workers", "gate", *args]
        given = {**house.env, "COLUMNS": str(columns), "TERM": "xterm", **env}
        with Path(os.devnull).open("wb") as nowhere:
            process = forks.start(command, given, house.root, forks.Streams(child, nowhere.fileno()))
        os.close(child)
        written = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:
                break
            if not part:
                break
            written += part
        process.wait(60)
        os.close(parent)
        return written.decode()

    return run


def test_colours_are_for_terminals_that_want_them(shell: Shell, terminal: Any) -> None:
    assert "\x1b[" in terminal(80, "status")
    assert "\x1b[" not in terminal(80, "status", NO_COLOR="1")
    assert "\x1b[" not in terminal(80, "status", TERM="dumb")
    assert "\x1b[" not in said(shell, "status")


@pytest.mark.parametrize(
    "columns", [pytest.param(60, marks=pytest.mark.slow), 80, pytest.param(120, marks=pytest.mark.slow)]
)
def test_lines_fit_the_terminal_but_for_what_is_pasted(terminal: Any, columns: int) -> None:
    for command in (("status",), ("explain", "post:torn"), ("list",), ("schedule",)):
        text = re.sub(r"\x1b\[[0-9;]*m", "", terminal(columns, *command))
        long = [
            line
            for line in text.splitlines()
            if len(line) > columns and "gatehouse" not in line and " " in line.strip()
        ]
        assert long == [], command


def test_a_folder_of_many_posts_is_told_as_the_publisher_saw_it(shell: Shell) -> None:
    code = """
        from workers.commands import posts, trouble
        kept, posts.MAX_READ = posts.MAX_READ, 0
        facts = trouble.facts.read
        trouble.facts.read = lambda agent, path: {"oops.md": "oops.md: no title"}
        answer = [each.text for each in trouble.of_posts()]
        posts.MAX_READ, trouble.facts.read = kept, facts
    """

    assert shell.run(code) == ["broken: oops.md: no title"]


def test_the_help_of_every_command_has_an_example_that_is_a_command(shell: Shell) -> None:
    known = re.findall(r"^  ([a-z-]+)  ", said(shell, "--help").partition("Commands:")[2], re.MULTILINE)
    assert {"status", "list", "explain"} <= set(known)

    for name in set(known) - {"draft", "journal"}:
        examples = said(shell, name, "--help").partition("Examples:\n")[2].splitlines()
        assert examples, name
        assert all(re.match(rf" +gatehouse {name}\b", line) for line in examples if line), name


def test_the_list_of_commands_is_whole_sentences(shell: Shell) -> None:
    for group in ((), ("draft",), ("journal",)):
        assert "..." not in said(shell, *group, "--help").partition("Commands:")[2]


@pytest.mark.parametrize("name", ["held", "dead"])
def test_a_list_for_a_person_tells_times_as_a_clock_does(shell: Shell, name: str) -> None:
    lines = said(shell, name).splitlines()

    assert [line for line in lines if " ago" in line]
    assert not re.findall(r"\d{4}-\d\d-\d\dT", "".join(lines))


def test_status_tells_of_the_rest_while_the_journal_cannot_be_read(house: Install, shell: Shell) -> None:
    journal = house.state_dir / "journal"
    aside = journal.rename(journal.with_name("journal-aside"))
    journal.write_text("not a folder")

    done = shell.celery("gate", "status")

    journal.unlink()
    aside.rename(journal)
    assert done.returncode == 0, done.stderr
    assert "EFFECTS CLOSED" in done.stdout
    assert "gatehouse doctor" in done.stdout
    assert "gatehouse recover" not in done.stdout, "a recovery needs the journal"
    assert "post:torn is unknown" in done.stdout
