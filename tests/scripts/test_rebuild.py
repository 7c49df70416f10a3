"""What the journal knows comes back into Redis, and what Redis knows better stays."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from state.agents import state_file
from state.agents.facts import MAX_ENTRIES
from state.agents.state_file import StateFiles
from state.decision import Decision, NeedsResync, Refusal
from state.errors import JournalUnavailable
from state.journal import events, records
from state.journal.journal import Journal
from state.journal.projector import project
from state.ledger import resolve
from state.model import AttemptResult, Call, Claim, FactChange
from state.recovery import batch_writer, epoch, journal_lines, rebuild, recover, remembered
from state.recovery.rebuild import Progress
from state.recovery.recover import RecoveryReport, Unrecoverable
from state.redis.keys import Keys
from tests.harness import Valkey
from tests.scripts.poster import AGENT, DAY, HOUR, SECOND, Poster

RESULT = '{"result":"it went well","rung":null}'


def no_caps(_task: str, _kwargs: Mapping[str, Any]) -> list[tuple[str, int]]:
    return []


def payload_of(post_id: str) -> str:
    """As the gate freezes it."""
    return to_json({"id": post_id, "text": "grüße ✓", "score": 1e16, "half": 0.5, "none": None}).decode()


class BookedPoster(Poster):
    """A poster whose effects are written into a journal, as the gate does it."""

    @property
    def book(self) -> Journal:
        return self.ledger.journal

    def admit(
        self, call: Call | str | None = None, owner: str | None = None, alive: str = "", closed: str = ""
    ) -> Decision:
        call = call if isinstance(call, Call) else self.call(call or "hello")
        self.open()
        decision = super().admit(call, owner, alive, closed)
        if isinstance(decision, NeedsResync):
            assert recover.resync(self.redis, self.book, AGENT)
            self.open()
            decision = super().admit(call, owner, alive, closed)
        return decision

    def send(self, post_id: str = "hello") -> Claim:
        """An attempt that began its effect and has not come back."""
        call = self.register(self.call(post_id))
        claim = self.claim(call)
        assert self.cross(claim, payload_of(post_id))[0] == "sending"
        return claim

    def end(self, claim: Claim, outcome: Any = "done", **more: Any) -> None:
        """Write the outcome down and settle."""
        assert self.settle(claim, outcome, journaled=True, **more) is None

    def recover(self, caps_of: Any = no_caps, progress: Progress | None = None) -> RecoveryReport:
        return recover.recover(self.redis, self.book, caps_of, progress or Progress())

    def lose_everything(self) -> RecoveryReport:
        self.redis.flushall()
        return self.recover()

    def state_of(self, post_id: str) -> str | None:
        found = self.redis.hget(self.n.key(f"post:feed:{post_id}"), "state")
        return None if found is None else str(found)

    def mark_of(self, post_id: str) -> str | None:
        found = self.redis.hget(self.n.ledger, f"sent:post:feed:{post_id}")
        return None if found is None else str(found)

    def is_open(self) -> bool:
        return epoch.why_closed(self.redis, self.book, AGENT) is None


@pytest.fixture
def poster(valkey: Valkey) -> BookedPoster:
    return BookedPoster(valkey.client())


def test_a_done_key_comes_back_with_its_result_and_is_replayed(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.end(claim)
    before = poster.key_of(claim)

    report = poster.lose_everything()

    assert (report.rebuilt, report.kept, report.calls) == ({"done": 1}, 0, 0)
    after = poster.key_of(claim)
    for field in ("state", "call", "task", "fingerprint", "fence", "payload", "owner"):
        assert after[field] == before[field], field
    assert json.loads(after["result"]) == json.loads(RESULT)
    assert abs(int(after["done_ms"]) - int(before["done_ms"])) < 5000
    assert poster.redis.ttl(poster.n.key(claim.key)) == -1
    assert poster.mark_of("hello") == "1"
    assert json.loads(poster.replayed().result) == json.loads(RESULT)
    assert poster.story(claim.key)[0]["event"] == "rebuilt"


def test_a_call_that_ended_is_kept_as_long_as_the_ledger(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.end(claim)
    poster.lose_everything()

    assert poster.redis.pttl(poster.n.call(claim.call)) > 89 * DAY


def test_a_flaw_of_a_result_comes_back(poster: BookedPoster) -> None:
    poster.end(poster.send(), flaw='{"error":"the effect happened, but a later step failed"}')

    poster.lose_everything()

    assert "a later step failed" in poster.replayed().flaw


def test_a_key_that_was_sent_and_never_answered_is_unknown_and_listed(poster: BookedPoster) -> None:
    claim = poster.send()

    report = poster.lose_everything()

    assert report.rebuilt == {"unknown": 1}
    after = poster.key_of(claim)
    assert (after["state"], after["owner"], after["fence"]) == ("unknown", claim.owner, str(claim.fence))
    assert after["payload"] == payload_of("hello")
    held = poster.ledger.held(AGENT)
    assert [(entry["key"], entry["state"]) for entry in held] == [(claim.key, "unknown")]
    assert "no outcome was written down" in held[0]["why"]
    assert held[0]["payload"] == json.loads(payload_of("hello"))
    assert poster.refused()["error"] == "outcome unknown"


def test_a_doubt_that_lost_only_its_place_in_the_list_is_listed_again(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.end(claim, "unknown", error="no answer")
    poster.redis.delete(poster.n.held)

    report = poster.recover()

    assert report.rebuilt == {}
    [entry] = poster.ledger.held(AGENT)
    assert (entry["key"], entry["state"], entry["why"]) == (claim.key, "unknown", "no answer")


@pytest.mark.parametrize("key_is_done", [False, True], ids=["first call of the key", "second call of a done key"])
def test_a_call_that_lost_only_its_place_in_the_lists_is_listed_again(poster: BookedPoster, key_is_done: bool) -> None:
    poster.end(poster.send("hello" if key_is_done else "other"))
    call = poster.register(poster.call("hello"))
    poster.redis.delete(poster.n.queued, poster.n.waiting)

    poster.recover()

    assert poster.redis.zrange(poster.n.waiting, 0, -1) == [call.id]


@pytest.mark.parametrize("state", ["claimed", "sending"])
def test_a_claim_that_lost_only_its_place_in_the_list_is_listed_again(poster: BookedPoster, state: str) -> None:
    claim = poster.send()
    poster.redis.hset(poster.n.key(claim.key), mapping={"fence": 9, "state": state})  # newer than the journal
    lease_ms = poster.key_of(claim)["lease_ms"]
    poster.redis.delete(poster.n.running)

    poster.recover()

    assert poster.redis.zrange(poster.n.running, 0, -1, withscores=True) == [(claim.key, float(lease_ms))]


def test_the_owner_of_a_rebuilt_doubt_may_still_say_what_came_of_it(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.lose_everything()

    poster.end(claim)

    assert poster.state_of("hello") == "done"
    assert poster.ledger.held(AGENT) == []


def test_why_a_key_was_in_doubt_comes_back(poster: BookedPoster) -> None:
    poster.end(poster.send(), "unknown")

    poster.lose_everything()

    assert poster.ledger.held(AGENT)[0]["why"] == "it broke"


def test_a_retry_comes_back_without_the_payload_of_an_attempt_that_proved_that_nothing_happened(
    poster: BookedPoster,
) -> None:
    claim = poster.send()
    poster.end(claim, "failed", retry_ms=60_000)

    report = poster.lose_everything()

    assert report.rebuilt == {"waiting": 1}
    assert poster.mark_of("hello") is None
    assert poster.redis.zscore(poster.n.waiting, claim.call) is not None
    again = poster.claim(poster._calls[claim.call])
    assert again.payload == ""
    assert again.fence > claim.fence


def test_a_key_that_was_given_up_may_be_asked_for_again(poster: BookedPoster) -> None:
    poster.end(poster.send(), "failed")

    report = poster.lose_everything()

    assert report.rebuilt == {"rejected": 1}
    assert poster.redis.ttl(poster.n.key("post:feed:hello")) > 0
    assert isinstance(poster.admit(), Claim)


def test_a_call_that_had_not_begun_waits_again(poster: BookedPoster) -> None:
    poster.end(poster.send("other"))
    call = poster.register(poster.call("hello"))

    report = poster.lose_everything()

    assert report.calls == 1
    assert poster.call_of(call)["state"] == "waiting"
    assert poster.redis.zrange(poster.n.waiting, 0, -1) == [call.id]
    assert isinstance(poster.admit(call), Claim)


def test_a_second_call_of_a_done_key_gets_the_result(poster: BookedPoster) -> None:
    poster.end(poster.send())
    second = poster.register(poster.call("hello"))

    report = poster.lose_everything()

    assert (report.rebuilt, report.calls) == ({"done": 1}, 0)
    assert poster.redis.zrange(poster.n.waiting, 0, -1) == [second.id]
    assert json.loads(poster.replayed(second).result) == json.loads(RESULT)


def test_what_a_person_decided_comes_back(poster: BookedPoster) -> None:
    for post_id, how in (("a", "applied"), ("b", "not-applied"), ("c", "cancel")):
        claim = poster.send(post_id)
        poster.end(claim, "unknown")
        poster.ledger.resolve(AGENT, claim.key, resolve.Resolution(how, "ada", "I looked"))  # type: ignore[arg-type]

    report = poster.lose_everything()

    assert report.rebuilt == {"done": 1, "waiting": 1, "cancelled": 1}
    assert [poster.state_of(post_id) for post_id in "abc"] == ["done", "waiting", "cancelled"]
    assert isinstance(poster.admit("b"), Claim)


def test_calls_that_ended_stay_ended(poster: BookedPoster) -> None:
    poster.end(poster.send("other"))
    call = poster.register(poster.call("hello"))
    poster.cancel(call.id, "ada")

    report = poster.lose_everything()

    assert report.calls == 0
    assert poster.redis.zcard(poster.n.waiting) == 0


def test_the_message_of_a_revoked_call_is_still_answered(poster: BookedPoster) -> None:
    poster.end(poster.send("other"))
    call = poster.register(poster.call("hello"))
    poster.cancel(call.id, "ada")

    poster.lose_everything()
    decision = poster.admit(call)

    assert isinstance(decision, Refusal)
    assert (decision.again, decision.receipt["error"]) == (True, "cancelled")
    assert "ada" in poster.key_of(call.key)["why"]


def test_a_call_that_was_revoked_alone_leaves_its_key_to_the_other(poster: BookedPoster) -> None:
    poster.end(poster.send("other"))
    first, second = poster.register(poster.call("hello")), poster.register(poster.call("hello"))
    poster.cancel(second.id, "ada")

    poster.lose_everything()

    assert poster.state_of("hello") == "waiting"
    assert isinstance(poster.admit(first), Claim)


def test_points_come_back(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.ledger.save_checkpoint(claim, "container", "17", "", 0)
    assert poster.ledger.save_checkpoint(claim, "container", "17")

    poster.lose_everything()

    assert poster.ledger.checkpoint(claim, "container") == "17"


def test_fences_go_on_where_they_were(poster: BookedPoster) -> None:
    for number in range(3):
        poster.end(poster.send(f"post{number}"))

    poster.lose_everything()

    assert poster.claim("next").fence == 4


def test_to_recover_twice_changes_nothing(poster: BookedPoster) -> None:
    poster.end(poster.send("done"))
    poster.send("unknown")
    poster.end(poster.send("failed"), "failed")
    poster.register(poster.call("queued"))
    poster.lose_everything()

    def without_story(name: str) -> bool:
        return ":story:" in name or name.endswith((":head", ":ledger"))

    before = poster.dump(without_story)
    report = poster.recover()

    assert (report.rebuilt, report.kept, report.calls) == ({}, 3, 0)
    assert poster.dump(without_story) == before
    assert poster.is_open()


def test_a_ledger_that_lost_nothing_is_left_as_it_is(poster: BookedPoster) -> None:
    poster.end(poster.send("done"))
    sending = poster.send("sending")
    claimed = poster.claim(poster.register(poster.call("claimed")))
    poster.end(poster.send("waiting"), "failed", retry_ms=60_000)

    report = poster.recover()

    assert report.rebuilt == {}
    states = {post_id: poster.state_of(post_id) for post_id in ("done", "sending", "claimed", "waiting")}
    assert states == {"done": "done", "sending": "sending", "claimed": "claimed", "waiting": "waiting"}
    poster.end(sending)
    assert poster.state_of("sending") == "done"
    assert poster.cross(claimed)[0] == "closed"  # its epoch is over: it comes back as another attempt


def test_a_key_that_fell_back_to_its_claim_is_in_doubt(poster: BookedPoster) -> None:
    claim = poster.claim(poster.register(poster.call("hello")))
    before = poster.redis.dump(poster.n.key(claim.key))
    poster.cross(claim)
    poster.redis.restore(poster.n.key(claim.key), 0, before, replace=True)

    poster.recover()

    assert poster.state_of("hello") == "unknown"
    assert poster.redis.zscore(poster.n.running, claim.key) is None


def test_a_key_that_is_newer_than_the_journal_stays(poster: BookedPoster) -> None:
    """As after the journal was restored from a backup."""
    claim = poster.send()
    poster.redis.hset(poster.n.key(claim.key), mapping={"fence": 9, "state": "claimed"})

    report = poster.recover()

    assert report.kept == 1
    assert poster.state_of("hello") == "claimed"


def test_nothing_takes_the_place_of_done(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.settle(claim)  # the journal does not know

    poster.recover()

    assert poster.state_of("hello") == "done"


def test_more_keys_than_fit_into_one_batch(poster: BookedPoster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "BATCH_SIZE", 3)
    for number in range(10):
        poster.end(poster.send(f"post{number}"))
    told: list[tuple[int, int]] = []

    class Told(Progress):
        def writes(self, done: int, total: int) -> None:
            told.append((done, total))

    poster.redis.flushall()
    report = poster.recover(progress=Told())

    assert report.rebuilt == {"done": 10}
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_a_record_longer_than_what_is_read_at_once_comes_back_whole(poster: BookedPoster) -> None:
    claim = poster.claim(poster.register(poster.call("hello")))
    poster.cross(claim, json.dumps("x" * 3 * journal_lines.WINDOW))
    poster.end(claim)

    poster.lose_everything()

    assert len(json.loads(poster.key_of(claim)["payload"])) == 3 * journal_lines.WINDOW


def capped_by(cap: str, window_ms: int) -> Callable[[str, Mapping[str, Any]], list[tuple[str, int]]]:
    return lambda _task, _kwargs: [(cap, window_ms)]


def test_effects_count_for_their_caps_again(poster: BookedPoster) -> None:
    poster.end(poster.send("done"))
    poster.send("unknown")
    poster.end(poster.send("failed"), "failed")
    cap = poster.n.cap(poster.gate.name, "2/day", "")
    poster.redis.flushall()

    poster.recover(capped_by(cap, DAY))

    now = poster.now()
    counted = dict(poster.redis.zrange(cap, 0, -1, withscores=True))
    assert counted.keys() == {"post:feed:done", "post:feed:unknown"}
    assert all(now - HOUR < at <= now for at in counted.values())
    assert 0 < poster.redis.pttl(cap) <= 2 * DAY


def a_fact(name: str, value: Any, collection: str = "") -> FactChange:
    path = (collection, name) if collection else (name,)
    return FactChange(path, None if value is None else json.dumps(value), collection)


def test_what_attempts_remembered_comes_back_as_of_the_newest(poster: BookedPoster) -> None:
    poster.end(poster.send("a"), facts=(a_fact("last", "a"), a_fact("gone", 1), a_fact("kept", 1)))
    poster.end(poster.send("b"), facts=(a_fact("last", "b"), a_fact("gone", None), a_fact("x", {"n": 1}, "published")))
    before = poster.document()

    poster.lose_everything()

    after = poster.document()
    assert (after["last"], after["kept"]) == ("b", 1)
    assert "gone" not in after
    assert after["published"] == before["published"] == {"x": {"n": 1}}


def test_of_a_collection_the_newest_entries_come_back(poster: BookedPoster) -> None:
    for number in range(2 * MAX_ENTRIES + 5):
        claim = Claim(AGENT, f"post:feed:{number}", f"c{number}", "o/1", number + 1, 1, 0, "e1", "")
        call = poster.call(str(number), id=f"c{number}")
        events.intent(poster.book, call, claim, '"x"', "")
        facts = (a_fact(f"{number:04}", number, "published"),)
        events.outcome(poster.book, claim, AttemptResult("done", result=RESULT, facts=facts))
    poster.book.append("epoch", {"agent": AGENT, "epoch": "e1", "fence": 0}, sync=True)

    poster.recover()

    kept = poster.document()["published"]
    assert len(kept) == MAX_ENTRIES
    assert min(kept) == f"{MAX_ENTRIES + 5:04}"


class FlushingAt(Progress):
    """Redis loses its data at one moment of the recovery."""

    def __init__(self, poster: BookedPoster, moment: str) -> None:
        self._poster, self._moment = poster, moment

    def reads(self, _: int) -> None:
        if self._moment == "reading":
            self._poster.redis.flushall()

    def writes(self, done: int, total: int) -> None:
        if self._moment == f"{done} of {total}":
            self._poster.redis.flushall()


@pytest.mark.parametrize("moment", ["reading", "2 of 6", "4 of 6", "6 of 6"])
def test_a_loss_in_the_middle_of_a_recovery_leaves_effects_closed(
    poster: BookedPoster, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(rebuild, "BATCH_SIZE", 2)
    for number in range(6):
        poster.end(poster.send(f"post{number}"))
    poster.redis.flushall()

    with pytest.raises(Unrecoverable, match="lost data again while it was being rebuilt"):
        poster.recover(progress=FlushingAt(poster, moment))

    assert not poster.is_open()
    assert poster.deferred("post0")["stage"] == "ledger"
    poster.recover()
    assert poster.is_open()
    assert [poster.state_of(f"post{number}") for number in range(6)] == ["done"] * 6


def test_nothing_is_written_for_a_recovery_that_another_took_the_place_of(poster: BookedPoster) -> None:
    poster.end(poster.send())
    poster.redis.flushall()
    poster.redis.hset(poster.n.ledger, "recovering", "another")
    before = poster.dump()

    rebuilding = rebuild.Rebuilding(poster.redis, project(poster.book.files()), no_caps, "mine")
    with rebuilding, pytest.raises(batch_writer.RedisLostData):
        rebuilding.run(Progress())

    assert poster.dump() == before


class Killed(BaseException):
    """The process ends here."""


class KilledAt(FlushingAt):
    def reads(self, _: int) -> None:
        if self._moment == "reading":
            raise Killed

    def writes(self, done: int, total: int) -> None:
        if self._moment == f"{done} of {total}":
            raise Killed


@pytest.mark.parametrize("moment", ["reading", "2 of 6", "6 of 6"])
@pytest.mark.parametrize("was", ["flushed", "sound"])
def test_a_recovery_that_is_ended_in_the_middle_leaves_effects_closed(
    poster: BookedPoster, monkeypatch: pytest.MonkeyPatch, moment: str, was: str
) -> None:
    monkeypatch.setattr(rebuild, "BATCH_SIZE", 2)
    for number in range(6):
        poster.end(poster.send(f"post{number}"))
    if was == "flushed":
        poster.redis.flushall()

    with pytest.raises(Killed):
        poster.recover(progress=KilledAt(poster, moment))

    assert not poster.is_open()
    assert poster.deferred("post0")["why"] == "gate recover is at work, or was ended"
    poster.recover()
    assert json.loads(poster.replayed("post0").result) == json.loads(RESULT)


def test_a_damaged_line_stops_the_recovery_unless_it_is_skipped(poster: BookedPoster) -> None:
    poster.end(poster.send("a"))
    poster.end(poster.send("b"))
    path: Path = poster.book.files()[0]
    path.write_bytes(path.read_bytes().replace(b'"outcome":"done"', b'"outcome":"d0ne"', 1))
    poster.redis.flushall()

    with pytest.raises(Unrecoverable, match=r"line \d+: damaged.* restore the journal from a backup.*--skip-damaged"):
        poster.recover()
    assert not poster.is_open()

    report = recover.recover(poster.redis, poster.book, no_caps, Progress(), skip_damaged=True)
    assert len(report.damaged) == 1
    assert {post_id: poster.state_of(post_id) for post_id in "ab"} == {"a": "unknown", "b": "done"}


def test_a_compressed_month_is_recovered_as_it_is(poster: BookedPoster) -> None:
    poster.end(poster.send("a"))
    poster.send("b")
    path: Path = poster.book.files()[0]
    path.with_name("2026-08.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()

    report = poster.lose_everything()

    assert report.rebuilt == {"done": 1, "unknown": 1}
    assert json.loads(poster.replayed("a").result) == json.loads(RESULT)


def test_a_newer_journal_is_not_recovered_and_effects_stay_closed(poster: BookedPoster) -> None:
    poster.end(poster.send("a"))
    line = records.encode("probe", {})
    newer = records.FORMAT + 1
    body = line.rpartition(b',"sum":"')[0].replace(b',"v":1', b',"v":%d' % newer)
    with poster.book.files()[0].open("ab") as file:
        file.write(b'%b,"sum":"%08x"}\n' % (body, zlib.crc32(body + b"}")))
    poster.redis.flushall()

    for skip_damaged in (False, True):
        with pytest.raises(
            JournalUnavailable, match=f"records of format {newer}.* reads up to format {records.FORMAT}"
        ):
            recover.recover(poster.redis, poster.book, no_caps, Progress(), skip_damaged=skip_damaged)

    call = poster.call("a")
    refused = poster.ledger.admit(call, poster.scope_of(call))
    assert isinstance(refused, Refusal)
    assert (refused.receipt["error"], refused.receipt["deferred"]) == ("effects are closed", True)
    assert f"records of format {newer}" in refused.receipt["why"]


def test_a_torn_line_is_told_and_stops_nothing(poster: BookedPoster) -> None:
    poster.end(poster.send("a"))
    with poster.book.files()[0].open("ab") as file:
        file.write(b'{"at":"2026')
    poster.end(poster.send("b"))

    report = poster.lose_everything()

    assert len(report.torn) == 1
    assert "cut off while it was written (harmless" in report.torn[0]
    assert report.rebuilt == {"done": 2}


def test_an_empty_journal_recovers_to_nothing(poster: BookedPoster) -> None:
    report = poster.recover()

    assert (report.records, report.rebuilt, report.epochs) == (0, {}, {})
    assert isinstance(poster.admit(), Claim)


@pytest.mark.parametrize(("outcome", "state"), [("done", "done"), ("failed", "rejected")])
def test_the_last_word_of_a_dead_owner_is_taken(poster: BookedPoster, outcome: Any, state: str) -> None:
    claim = poster.send()
    result, error = (RESULT, "") if outcome == "done" else ("", json.dumps({"error": "it broke"}))
    events.outcome(poster.book, claim, AttemptResult(outcome, result=result, error=error))

    assert poster.reclaim(claim, dead=True) == state

    assert poster.state_of("hello") == state
    assert poster.redis.zcard(poster.n.running) == 0


def test_a_dead_owner_that_said_nothing_leaves_doubt(poster: BookedPoster) -> None:
    claim = poster.send()

    assert poster.reclaim(claim, dead=True) == "unknown"


def test_two_agents_are_rebuilt_and_opened_each_for_itself(poster: BookedPoster) -> None:
    poster.end(poster.send("a"))
    other = Claim("crier", "cry:1", "c1", "o/1", 3, 1, 0, "f1", "")
    poster.book.append("epoch", {"agent": "crier", "epoch": "f1", "fence": 0}, sync=True)
    call = poster.call("x", id="c1")
    events.intent(poster.book, call.__class__("c1", "crier", "crier.cry", "cry:1", "{}", "f", "beat"), other, '"x"', "")

    report = poster.lose_everything()

    assert report.rebuilt == {"done": 1, "unknown": 1}
    assert report.epochs.keys() == {AGENT, "crier"}
    assert len(set(report.epochs.values())) == 2
    assert poster.redis.hget(Keys("crier").ledger, "fence") == "3"


def test_a_recovery_that_is_repeated_writes_the_state_file_of_what_the_first_one_wrote(
    poster: BookedPoster, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster.end(poster.send("a"))
    poster.send("b")  # in doubt
    files = StateFiles([AGENT])
    files.refresh()
    poster.redis.flushall()

    with monkeypatch.context() as patched:
        patched.setattr(remembered.RememberedFacts, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            poster.recover()
    files.refresh()  # by a worker that runs meanwhile
    poster.recover()
    files.refresh()

    assert [held["key"] for held in json.loads(state_file.path(AGENT).read_text())["held"]] == ["post:feed:b"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_history_of_a_rejected_key_ends_with_its_key(poster: BookedPoster) -> None:
    claim = poster.send()
    poster.end(claim, "failed")

    poster.lose_everything()

    key, history = (poster.redis.pttl(name) for name in (poster.n.key(claim.key), poster.n.history(claim.key)))
    assert poster.state_of("hello") == "rejected"
    assert 0 < key - SECOND < history <= key + SECOND
