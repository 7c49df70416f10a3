"""A decision is compared with what the person saw: the first one counts, and leaves one record and one entry."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from state.agents import audit
from state.errors import JournalUnavailable
from state.ledger import owner
from state.ledger.owner import Moment
from state.ledger.resolve import How, NotResolved, Resolution, Stale
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from tests.harness import Valkey, patient
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, HOUR, Poster, sure

WAYS: list[How] = ["applied", "not-applied", "cancel"]


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def say(poster: Poster, key: str, how: How, seen: str = "", by: str = "ada", **more: Any) -> str:
    return poster.ledger.resolve(AGENT, key, Resolution(how, by, "I looked", seen=seen, **more))


def entries(**filters: str) -> list[audit.AuditEntry]:
    return audit.read([AGENT], limit=100, **filters)


# What is compared


@pytest.mark.parametrize("how", WAYS)
def test_a_decision_about_what_the_person_saw_counts(poster: Poster, how: How) -> None:
    claim = poster.doubt(poster.register())
    [seen] = poster.ledger.waiting(AGENT)

    assert re.fullmatch("[0-9a-f]{16}", seen.version)
    assert say(poster, claim.key, how, seen.version) in {"done", "waiting", "cancelled"}


def test_a_call_that_has_not_begun_has_a_version_too(poster: Poster) -> None:
    call = poster.register()

    assert say(poster, call.key, "cancel", poster.ledger.version(AGENT, call.key)) == "cancelled"
    assert poster.ledger.version(AGENT, "post:feed:nothing") == ""


def test_a_stale_page_changes_nothing_and_is_told_who_decided_what_and_when(poster: Poster) -> None:
    claim = poster.doubt(poster.register())
    seen = poster.ledger.version(AGENT, claim.key)
    say(poster, claim.key, "cancel", seen, by="bob")
    before = poster.dump()

    with pytest.raises(Stale, match=r"it is cancelled now \(bob said cancel at 20..-..-..T..:..:..Z: I looked\)"):
        say(poster, claim.key, "not-applied", seen)

    assert poster.dump() == before


def test_an_attempt_after_the_page_was_made_makes_it_stale(poster: Poster) -> None:
    call = poster.register()
    seen = poster.ledger.version(AGENT, poster.doubt(call).key)
    say(poster, call.key, "not-applied")
    poster.doubt(call)

    with pytest.raises(Stale, match="it is unknown now"):
        say(poster, call.key, "applied", seen)


@pytest.mark.parametrize("field", ["payload", "revision", "call"])
def test_each_part_of_a_version_counts_inside_the_script_too(
    poster: Poster, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes after Python has read the key."""
    claim = poster.doubt(poster.register())
    seen, append = poster.ledger.version(AGENT, claim.key), poster.ledger.journal.append

    def changes(event: str, fields: Any, *, sync: bool) -> None:
        append(event, fields, sync=sync)
        poster.redis.hset(poster.n.key(claim.key), field, '"another"')

    monkeypatch.setattr(poster.ledger.journal, "append", changes)
    with pytest.raises(Stale):
        say(poster, claim.key, "cancel", seen)

    assert poster.key_of(claim)["state"] == "unknown"
    assert entries() == []


def test_a_doubt_in_which_the_look_ups_gave_up_is_the_doubt_that_the_person_saw(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt()
    seen, here = poster.ledger.version(AGENT, claim.key), owner.boot_clock()
    for n in range(20):
        poster.look(claim, Moment(here.boot, here.ms + n))
    assert poster.key_of(claim)["state"] == "held"

    assert say(poster, claim.key, "applied", seen) == "done"


# Many at once


def test_of_fifty_who_decide_at_once_one_wins_and_leaves_one_record_and_one_entry(
    poster: Poster, together: Callable[[int, Callable[[int], Any]], list[Any]]
) -> None:
    claim = poster.doubt(poster.register())
    seen = poster.ledger.version(AGENT, claim.key)

    def decide(number: int) -> str:
        try:
            return say(poster, claim.key, WAYS[number % 3], seen, by=f"person {number}")
        except NotResolved as error:
            return type(error).__name__

    answers = together(50, decide)

    assert answers.count("Stale") == 49
    [record], [entry] = poster.records("resolved"), entries()
    assert (record["by"], record["how"]) == (entry.by, entry.what)
    assert entry.after == poster.key_of(claim)["state"]
    assert poster.redis.hlen(poster.n.unwritten) == 0


# The list of decisions


def test_an_entry_says_who_what_by_which_door_and_what_became_of_it(poster: Poster) -> None:
    claim = poster.doubt()
    say(poster, claim.key, "cancel", door="desk", what="reject")

    [entry] = entries()

    assert (entry.agent, entry.by, entry.door, entry.what) == (AGENT, "ada", "desk", "reject")
    assert (entry.subject, entry.why, entry.before, entry.after) == (claim.key, "I looked", "unknown", "cancelled")
    assert poster.story(claim.key)[-1]["door"] == "desk"
    assert poster.records("resolved")[-1]["decision"]["door"] == "desk"


def test_entries_are_read_newest_first_in_pages_and_by_what_they_say(poster: Poster) -> None:
    for number in range(5):
        say(poster, poster.doubt(f"post{number}").key, "applied", by="ada" if number % 2 else "bob")

    first = audit.read([AGENT, "other"], limit=2)
    rest = audit.read([AGENT, "other"], limit=9, before=first[-1].cursor)

    assert [entry.subject[-1] for entry in [*first, *rest]] == ["4", "3", "2", "1", "0"]
    assert [entry.subject[-1] for entry in entries(by="ada")] == ["3", "1"]
    assert entries(door="desk") == []


def test_a_page_ends_between_entries_of_the_same_moment(poster: Poster) -> None:
    """As stop-all makes them, one for each agent."""
    agents = ["a", "b", "c"]
    for agent in agents:
        entry = {"id": agent, "at": 1, "what": "stop-all"}
        poster.redis.xadd(f"gate:{{{agent}}}:audit", {"entry": json.dumps(entry)}, id="5-0")

    found, cursor = [], None
    while page := audit.read(agents, limit=1, before=cursor):
        found.append(page[0].agent)
        cursor = page[0].cursor

    assert sorted(found) == agents


def test_the_list_comes_back_from_the_journal_after_the_loss_of_redis(poster: Poster) -> None:
    say(poster, poster.doubt("one").key, "applied", door="api")
    say(poster, poster.doubt("two").key, "cancel")
    poster.ledger.pause(AGENT, audit.Said("pause", "ada", "desk", "looking"))
    before = entries()
    poster.redis.flushall()
    poster.ledger.resume(AGENT, audit.Said("resume", "bob", "desk", "was not paused any more"))

    for _ in range(2):
        recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    after = entries()
    assert [(each.at, each.what, each.subject, each.door) for each in after] == [
        (each.at, each.what, each.subject, each.door) for each in before
    ]
    say(poster, poster.open().doubt("three").key, "applied")
    assert entries()[0].subject.endswith("three")


def test_a_resolution_that_an_older_version_wrote_is_in_the_list_after_a_recovery(poster: Poster) -> None:
    claim = poster.doubt()
    old = {"agent": AGENT, "key": claim.key, "call": claim.call, "fence": claim.fence, "how": "applied"}
    poster.ledger.journal.append("resolved", old | {"by": "ada", "why": "I saw it"}, sync=True)

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert [(each.by, each.what, each.after) for each in entries()] == [("ada", "applied", "done")]


# Between the two stores

KILLED = """
import os, signal
from state.journal.journal import Journal
from state.ledger import Ledger
from state.ledger.resolve import Resolution
append = Journal.append
def dies(self, event, fields, *, sync):
    if event == "resolved":
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, event, fields, sync=sync)
Journal.append = dies
Ledger().resolve({agent!r}, {key!r}, Resolution("cancel", "ada", "I looked", seen={seen!r}))
"""


@pytest.fixture
def killed(poster: Poster, valkey: Valkey) -> str:
    """A key about which ada decided in a process that was killed before the journal knew it."""
    claim = poster.doubt(poster.register())
    code = KILLED.format(agent=AGENT, key=claim.key, seen=poster.ledger.version(AGENT, claim.key))
    env = {**os.environ, "REDIS_URL": valkey.url}
    ended = subprocess.run([sys.executable, "-c", code], env=env, check=False, timeout=patient(60))
    assert ended.returncode == -signal.SIGKILL
    assert poster.key_of(claim)["state"] == "cancelled"
    assert poster.records("resolved") == []
    return claim.key


def test_who_says_the_same_after_a_kill_gets_the_first_decision_into_the_journal(poster: Poster, killed: str) -> None:
    assert say(poster, killed, "cancel", by="bob") == "cancelled"

    [record], [entry] = poster.records("resolved"), entries()
    assert (record["by"], entry.by) == ("ada", "ada")
    with pytest.raises(NotResolved):
        say(poster, killed, "cancel", by="bob")


def test_a_sweep_writes_what_a_killed_process_left_unwritten(poster: Poster, killed: str) -> None:
    assert poster.ledger.pending([AGENT])[AGENT].has_unwritten

    assert poster.ledger.write_decisions(AGENT)

    [record] = poster.records("resolved")
    assert (record["key"], record["how"], record["by"], record["task"]) == (killed, "cancel", "ada", poster.gate.name)
    assert not poster.ledger.pending([AGENT])[AGENT].has_unwritten
    assert "unwritten" not in poster.key_of(killed)


def test_what_another_process_is_writing_is_left_to_it_for_a_while(poster: Poster) -> None:
    entry: dict[str, Any] = {"id": "x", "at": poster.now(), "process": owner.new(), "what": "pause", "subject": ""}
    poster.redis.hset(poster.n.unwritten, "x", json.dumps(entry))

    poster.ledger.write_decisions(AGENT)
    assert poster.records("decision") == []

    poster.redis.hset(poster.n.unwritten, "x", json.dumps(entry | {"at": entry["at"] - HOUR}))
    poster.ledger.write_decisions(AGENT)
    assert [record["decision"]["id"] for record in poster.records("decision")] == ["x"]


def test_a_full_disk_does_not_keep_a_person_from_pausing(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(event: str, fields: Any, *, sync: bool) -> None:
        raise JournalUnavailable("the disk is full")

    with monkeypatch.context() as context:
        context.setattr(poster.ledger.journal, "append", full)
        assert poster.ledger.pause(AGENT, audit.Said("pause", "ada", "desk", "looking"))
    assert poster.document()["paused"]

    assert poster.ledger.write_decisions(AGENT)
    assert [record["decision"]["what"] for record in poster.records("decision")] == ["pause"]
