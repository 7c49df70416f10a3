"""A person looks at the drafts and decides: what is approved is published, what is rejected does not come back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.work.agents import LISTING, Agents, a_feed

BROKEN = "---\nid: typo\ntitel: A typo\n---\nB"


def gate(agents: Agents, *words: str) -> tuple[int, Any]:
    done = agents.shell.celery("gate", "draft", *words, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def drafted(alone: Agents) -> str:
    """The name of the one draft that waits."""
    alone.put("notes.xml", a_feed(1, 2))
    return str(alone.draft()["draft"])


def folder(agents: Agents) -> Path:
    return agents.install.content_dir / "drafts"


def listed(agents: Agents) -> list[tuple[str, str]]:
    code, answer = gate(agents, "list")
    assert code == 0
    return [(each["draft"], each["state"]) for each in answer]


def test_every_draft_is_listed_and_a_broken_one_with_its_message(alone: Agents, drafted: str) -> None:
    (folder(alone) / "typo.md").write_text(BROKEN)
    (folder(alone) / "named-otherwise.md").write_text("---\nid: mine\ntitle: M\npublish_at: 2099-12-31\n---\nB")

    _, answer = gate(alone, "list")

    assert [(each["draft"], each["state"]) for each in answer] == [
        (drafted, "waiting"), ("mine", "waiting"), ("typo", "broken"),
    ]  # fmt: skip
    assert answer[0]["made_by"] == "rules"
    assert answer[0]["sources"] == ["https://example.org/2", "https://example.org/1"]
    assert answer[1]["file"] == str(folder(alone) / "named-otherwise.md")
    assert "titel" in answer[2]["why"]


def test_without_drafts_the_list_is_empty(alone: Agents) -> None:
    assert listed(alone) == []


def test_a_draft_that_is_approved_is_published_and_one_that_waits_is_not(alone: Agents, drafted: str) -> None:
    waiting = alone.run("tasks.publisher.publish_next")["result"]["submitted"]
    code, answer = gate(alone, "approve", drafted)

    assert (code, answer["draft"], answer["state"], answer["is_new"]) == (0, drafted, "approved", True)
    assert waiting == []
    assert alone.run("tasks.publisher.publish_next")["result"]["submitted"] == [f"feed:{drafted}"]
    assert listed(alone) == []


def test_a_draft_is_approved_once_and_again_without_harm(alone: Agents, drafted: str) -> None:
    gate(alone, "approve", drafted)
    before = (alone.install.content_dir / f"{drafted}.md").read_bytes()

    code, answer = gate(alone, "approve", drafted)

    assert (code, answer["is_new"]) == (0, False)
    assert (alone.install.content_dir / f"{drafted}.md").read_bytes() == before


def test_a_draft_that_is_rejected_keeps_the_reason_and_does_not_come_back(alone: Agents, drafted: str) -> None:
    code, answer = gate(alone, "reject", drafted, "--why", "not\nfor us")
    again, repeated = gate(alone, "reject", drafted, "--why", "another reason")

    (file,) = folder(alone).glob("*.rejected")
    assert (code, answer["state"], answer["file"]) == (0, "rejected", str(file))
    assert (again, repeated["is_new"]) == (0, False)
    assert file.read_text().splitlines()[1].endswith(": not for us")
    assert listed(alone) == []
    assert alone.draft()["draft"] is None
    assert not any(alone.run("tasks.publisher.publish_next")["result"].values())


def test_a_draft_whose_file_is_named_otherwise_is_found_by_its_id(alone: Agents) -> None:
    text = "---\nid: {}\ntitle: M\npublish_at: 2026-11-30\n---\nB"
    folder(alone).mkdir()
    for name in ("one", "two"):
        (folder(alone) / f"2026-11-30 by hand {name}.markdown").write_text(text.format(name))

    assert gate(alone, "approve", "one")[1]["file"].endswith("/content/2026-11-30 by hand one.markdown")
    assert [gate(alone, "reject", "two", "--why", "no")[1]["is_new"] for _ in range(2)] == [True, False]
    assert gate(alone, "approve", "one")[1]["is_new"] is False
    assert listed(alone) == []


def test_a_draft_that_says_that_it_is_one_is_listed_with_what_to_change(alone: Agents) -> None:
    folder(alone).mkdir()
    alone.put("drafts/mine.md", "---\ntitle: M\npublish_at: 2026-11-30\ndraft: true\n---\nB")

    assert listed(alone) == [("mine", "broken")]
    assert "draft" in gate(alone, "approve", "mine")[1]["error"]


def test_the_beginning_of_a_name_that_only_one_draft_has_is_enough(alone: Agents, drafted: str) -> None:
    assert gate(alone, "approve", "digest-2026")[1]["draft"] == drafted
    assert gate(alone, "approve", f"content/drafts/{drafted}.md")[1]["draft"] == drafted  # as pasted from the list


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["approve", "digset-2026-11-02"], "did you mean digest-2026-11-02-"),
        (["approve", "../hello"], "no draft '../hello' waits in"),
        (["approve", ""], "no draft '' waits in"),
        (["approve", "t"], "begins the names of several drafts: typo, tested"),
        (["approve", "typo"], "typo cannot be published: typo.md: "),
        (["approve", "taken"], "there is a post taken"),
        (["reject", "hello", "--why", "x"], "hello is a post already"),
        (["approve", "no"], "no was rejected; to publish it all the same: mv "),
    ],
)
def test_what_cannot_be_decided_says_why_and_what_to_do(
    alone: Agents, words: list[str], why: str, drafted: str
) -> None:
    post = "---\ntitle: T\npublish_at: 2026-11-30\n---\nB"
    for name in ("hello.md", "taken.md", "drafts/taken.md", "drafts/no.md.rejected", "drafts/tested.md"):
        alone.put(name, post)
    alone.put("drafts/typo.md", BROKEN)
    if words[1] != "taken":
        (folder(alone) / "taken.md").unlink()
    before = sorted(path.name for path in alone.install.content_dir.rglob("*.*"))

    code, answer = gate(alone, *words)

    assert code == 1
    assert why in answer["error"] or why.replace("typo, tested", "tested, typo") in answer["error"]
    assert sorted(path.name for path in alone.install.content_dir.rglob("*.*")) == before


def test_a_broken_draft_can_be_rejected(alone: Agents, drafted: str) -> None:
    alone.put("drafts/typo.md", BROKEN)

    assert gate(alone, "reject", "typo", "--why", "broken")[0] == 0
    assert listed(alone) == [(drafted, "waiting")]


def test_a_person_reads_the_list_as_a_table(alone: Agents, drafted: str) -> None:
    done = alone.shell.celery("gate", "draft", "list")

    assert done.stdout.split("  ")[0] == drafted
    assert "  Note 2, and 1 more worth reading  by rules, two sources\nread them in " in done.stdout
    assert re.search(r"^publish one: \S*gatehouse draft approve \S+$", done.stdout, re.MULTILINE)
    assert re.search(r"^or do not: \S*gatehouse draft reject \S+ --why '…'$", done.stdout, re.MULTILINE)


def test_status_shows_the_draft_and_the_source_that_gave_nothing(alone: Agents) -> None:
    alone.put("sources.toml", LISTING + '[[writer]]\nname = "Empty"\nfile = "empty.xml"\n')
    alone.put("empty.xml", "")
    name = alone.draft()["draft"]

    shown = alone.shell.celery("gate", "status").stdout

    assert f"a draft waits for a person: {name}" in shown
    assert "broken source Empty: " in shown
    assert "draft list" in shown
