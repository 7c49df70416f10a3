"""An attempt on the stage, and what happens to it on several hosts and with a journal that is away."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from state.errors import JournalUnavailable
from state.ledger import Ledger, owner
from state.model import AttemptResult, Call, CallLimits, Claim
from state.redis.keys import Keys
from tests.model.losses import KEY
from tests.model.processes import PATIENCE, FailingJournal, Process, StoppingJournal, Stops
from tests.scripts.poster import AGENT, event


@dataclass
class Attempt:
    """One attempt, and where its thread stands that begins the effect."""

    process: Process
    claim: Claim
    text: str
    wire: str = ""  #: "", flying, applied, refused, lost
    stops: Stops | None = None
    thread: threading.Thread | None = None
    answer: str = "nothing"
    journal: StoppingJournal | None = None
    end: AttemptResult | None = None

    def kill(self) -> None:
        if self.stops and self.thread and self.thread.is_alive():
            self.stops.go_on(self.thread, dies=True)
        self.process.die()


class Hosts:
    """The part of a stage in which the journal is away, and look-ups run on hosts that cannot see the owner's lock."""

    redis: Redis
    folder: Path
    n: Keys
    call: Call
    terms: CallLimits
    ledger: Ledger
    attempts: list[Attempt]
    _remote: Any = None

    def unconfirmed(self, number: int, *, writes: bool) -> None:
        """The journal does not confirm the intent, whether it is there or not."""
        attempt = self.attempts[number]
        ledger = Ledger(self.redis, FailingJournal(self.folder, writes=writes))
        with suppress(JournalUnavailable):
            attempt.answer = ledger.begin_effect(
                self.call, attempt.claim, self.terms, attempt.text, [event("sending")]
            )[0]

    def journal_away(self, number: int) -> str:
        """The journal cannot be read after the intent; answers what the code said."""
        attempt = self.attempts[number]
        assert attempt.journal
        assert attempt.stops
        assert attempt.thread
        attempt.journal.is_away = True
        attempt.stops.go_on(attempt.thread)
        attempt.thread.join(PATIENCE)
        return attempt.answer

    def settle_unsent(self, number: int) -> None:
        """It ends as `gatekeeper` lets it end: it sent nothing, and the call waits."""
        attempt = self.attempts[number]
        assert attempt.answer == "nothing"
        end = AttemptResult("refused", error="the ledger was away", retry_ms=0)
        self.ledger._settle_once(self.call, attempt.claim, self.terms, end)
        attempt.process.die()

    def report_death(self, number: int) -> bool:
        """The sweeper of its host."""
        owner_ = self.attempts[number].claim.owner
        return owner_ in {each.owner for each in self.ledger.report_deaths([AGENT])}

    def begin_remote(self, number: int) -> None:
        """A look-up on a host that cannot see its lock."""
        self._remote = number, self.knows_death(number), owner.boot_clock()

    def end_remote(self) -> None:
        """Its provider is away, so that it does not count as one of the twenty."""
        number, knew, began = self._remote
        claim = self.attempts[number].claim
        how = {"dead": False, "knew_death": knew, "began": began}
        self.ledger.reconcile(claim, absent=False, away_ms=0, history=[event("looked up")], **how)

    def knows_death(self, number: int) -> bool:
        return bool(self.redis.hget(self.n.key(KEY), "gone") == str(self.attempts[number].claim.fence))
