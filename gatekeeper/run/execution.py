"""One admitted attempt: run the body, decide what its end proves, settle."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gatekeeper import hostile
from gatekeeper.errors import (
    AgentPaused,
    ClaimLost,
    EffectsClosed,
    InvalidOutput,
    LeaseExpired,
    OutcomeUnknown,
    Refused,
    RungTooLow,
    TaskAborted,
)
from gatekeeper.policies.spec import MAX_BACKOFF_MS, MAX_RETRY_AFTER, TaskSpec
from gatekeeper.redact import clean, describe
from gatekeeper.run import prospects
from gatekeeper.run.attempt import PATIENCE, Attempt, running
from gatekeeper.run.heartbeat import heartbeat
from gatekeeper.run.http_outcome import proves_nothing_was_sent, store_was_away
from gatekeeper.run.lookup import Unanswered, look_up
from gatekeeper.run.prospects import Prospect
from gatekeeper.run.responses import Answer, flawed, kept, refusal, success
from gatekeeper.run.result import Ending
from state import options
from state.redis import client
from state.redis.constants import LEDGER_RETRY_MS, PAUSE_RETRY_MS

log = structlog.get_logger("gatehouse.gate")

#: The least pause after a service asked to be left alone; doubled with each time that it does so again.
MIN_PAUSE_MS = 500
#: By then every pause has reached its longest.
MAX_DOUBLINGS = 20
#: What a refusal at the line is called: (error, stage).
_RECEIPTS: dict[type[Refused], tuple[str, str]] = {
    AgentPaused: ("paused", "line"),
    RungTooLow: ("rung too low", "line"),
    EffectsClosed: ("effects are closed", "ledger"),
}
#: What the story says of an undo that worked.
UNDONE = "done"


@dataclass
class Execution:
    """One attempt of a call that was admitted through `gate`."""

    gate: TaskSpec
    attempt: Attempt
    arguments: dict[str, Any]

    @property
    def key(self) -> str:
        return self.attempt.claim.key

    def run(self) -> Answer:
        """Run the body and settle; raises what the body raised."""
        claim = self.attempt.claim
        self.attempt.tell("claimed", attempt=claim.attempt, fence=claim.fence, owner=claim.owner)
        heartbeat.watch(self.attempt, self.gate.limit_ms)
        try:
            return self._run_body()
        finally:
            heartbeat.forget(claim)

    def _run_body(self) -> Answer:
        try:
            with running(self.attempt):
                output = self.gate.body(**self.arguments)
        except ClaimLost as error:
            if (error.agent, error.key) != (self.gate.agent, self.key):  # that of another task, which this one called
                return self._failed(error)
            self._log("claim lost")
            if self.attempt.line != "before":
                # Whoever has the key should know what this attempt knows, and that it is over.
                with suppress(ClaimLost):
                    self._settle(self._knowing(error))
            raise
        except Refused as error:
            return self._refused(error) if self.attempt.line == "before" else self._failed(error)
        except BaseException as error:  # noqa: BLE001 - even Ctrl-C or sys.exit() in a task is an end that must be settled
            return self._failed(error)
        return self.finished(output)

    def finished(self, output: Any) -> Answer:
        """Settle an attempt that gave this output, or whose effect a look-up found."""
        try:
            result = kept(self._checked(output), self.attempt.rung)
        except InvalidOutput as error:
            if self.gate.effect and self.attempt.line == "before":
                return self._failed(error)  # nothing was sent, so there is nothing to keep or to undo
            return self._flawed(output, error)
        try:
            self._do_what_follows(output)
        except BaseException as error:  # noqa: BLE001 - the effect happened, whatever comes after it
            return self._failed(error)
        self._settle(Ending("done", result=result))
        return success(self.key, result)

    def _checked(self, output: Any) -> str:
        """The output as JSON text; raises InvalidOutput, whatever the output does to who writes it down."""
        try:
            return self.gate.contract.check_output(output)
        except InvalidOutput:
            raise
        except BaseException as error:  # noqa: BLE001 - an output may be an object with code of its own
            raise InvalidOutput(f"{self.gate.name} returned what cannot be written down: {describe(error)}") from None

    def _do_what_follows(self, output: Any) -> None:
        if self.gate.then and self.attempt.line == "applied":
            with running(self.attempt):
                self.gate.then.call(output, self.arguments)

    def _flawed(self, output: Any, error: InvalidOutput) -> Answer:
        """The answer cannot be used: take the effect back, and keep the key so that nothing is sent again."""
        flaw = {"error": "output validation failed", "stage": "output", "detail": clean(str(error))}
        if self.gate.undo:
            flaw["undo"] = self._undo(output)
            if flaw["undo"] == UNDONE:
                self.attempt.facts.clear()
                self.attempt.counters.clear()
        text = json.dumps(flaw)
        self._settle(Ending("done", result=kept("null", None), flaw=text, error=flaw["detail"]))
        return flawed(self.key, text)

    def _undo(self, output: Any) -> str:
        assert self.gate.undo  # noqa: S101 - asked for by the caller
        try:
            with running(self.attempt):
                self.gate.undo.call(output, self.arguments)
        except BaseException as problem:  # noqa: BLE001 - whatever it was, the key must be settled and the problem told
            words = f"failed: {describe(problem)}"
        else:
            words = UNDONE
        self.attempt.tell("undo", outcome=words)
        return words

    def _failed(self, error: BaseException) -> Answer:
        """Settle what the exception proves, and raise it; answers only if the provider knows that all went well."""
        words = describe(error)
        if self.attempt.line == "applied":
            self._settle(self._knowing(error))
        elif self.attempt.line == "before" or proves_nothing_was_sent(error, self.attempt.wire.since_the_line):
            if store_was_away(error):
                return self._later("the ledger was away", "ledger", describe(error), LEDGER_RETRY_MS)
            prospect = prospects.of(error)
            if prospect.temporary:
                return self._waits(words, prospect)
            self._not_applied(error, words, prospect)
        else:
            return self._in_doubt(error, words)
        if isinstance(error, Exception):
            raise error
        raise TaskAborted(f"{self.key}: {words}") from error

    def _waits(self, words: str, prospect: Prospect) -> Answer:
        """Nothing happened, and the same may go well later: the call waits, and this was no attempt of it."""
        wait_ms = self._wait_for_service_ms(prospect.retry_after)
        receipt = {"error": words, "stage": "service", "deferred": True, "retry_after": wait_ms / 1000}
        self._settle(Ending("failed", error=words, retry_ms=wait_ms, receipt=receipt, waits=True))
        return refusal(self.key, receipt)

    def _not_applied(self, error: BaseException, words: str, prospect: Prospect) -> None:
        """Nothing happened. It is tried again if attempts are left, unless only a person can change the outcome."""
        retry_ms = None if prospect.temporary is False else self._retry_ms(forgiven=isinstance(error, LeaseExpired))
        told = f"{words}; change {prospect.change}" if prospect.change else words
        self._settle(Ending("failed", error=clean(told), retry_ms=retry_ms))

    def _knowing(self, error: BaseException) -> Ending:
        """Behind the line: what is known of the effect, whatever went wrong."""
        words = describe(error)
        if self.attempt.line != "applied":
            return Ending("unknown", error=words)
        flaw = {"error": "the effect happened, but a later step failed", "stage": "task", "detail": words}
        return Ending("done", result=kept("null", None), flaw=json.dumps(flaw), error=words)

    def _in_doubt(self, error: BaseException, words: str) -> Answer:
        """Ask the provider. That it has the effect is proof; that it does not have it yet is none."""
        found = look_up(self.gate, self.attempt, self.arguments)
        if found is not None and not isinstance(found, Unanswered):
            return self.finished(found)
        away_ms = None if found is None else found.away_ms
        self._settle(replace(self._knowing(error), look_ms=away_ms or 0))
        raise OutcomeUnknown(
            f"{self.key}: {words}. It may have happened, so it is not run again; "
            f"see: celery -A workers gate explain '{self.key}'"
        ) from error

    def _refused(self, error: Refused) -> Answer:
        detail = clean(hostile.text_of(error))
        why, stage = _RECEIPTS.get(type(error), (detail, "task"))
        return self._later(why, stage, detail, self._wait_ms(error))

    def _later(self, why: str, stage: str, detail: str, wait_ms: int | None) -> Answer:
        """Settle an attempt that sent nothing as refused: it counts for nothing, and with `wait_ms` the call asks again."""
        receipt: dict[str, Any] = {"error": why, "stage": stage, "detail": detail}
        if wait_ms:
            receipt |= {"deferred": True, "retry_after": wait_ms / 1000}
        self._settle(
            Ending("refused", receipt=receipt, error=why if stage in {"task", "ledger"} else "", retry_ms=wait_ms)
        )
        return refusal(self.key, receipt)

    def _wait_ms(self, error: Refused) -> int | None:
        """How long the call waits before it asks again; None if that is its caller's business."""
        if isinstance(error, EffectsClosed):
            return LEDGER_RETRY_MS
        return PAUSE_RETRY_MS if isinstance(error, AgentPaused) and self.attempt.claim.waits else None

    def _retry_ms(self, *, forgiven: bool) -> int | None:
        """Exponential back-off with jitter in its upper half; None when the attempts are used up.

        That this process was held up is no fault of the call: it is forgiven.
        """
        done = self.attempt.claim.attempt
        if done >= self.gate.attempts and not forgiven:
            return None
        longest: int = min(self.gate.backoff_ms << (done - 1), MAX_BACKOFF_MS)
        return round(longest * random.uniform(0.5, 1))

    def _wait_for_service_ms(self, retry_after: float | None) -> int:
        """What the service asks for, never less, and a little more so that not all come back at once; else a back-off.

        A service that asks for next to nothing again and again is asked less and less often all the same.
        """
        before = min(self.attempt.claim.waits_before, MAX_DOUBLINGS)
        if retry_after is None:
            longest: int = min(self.gate.backoff_ms << before, MAX_BACKOFF_MS)
            return round(longest * random.uniform(0.5, 1))
        asked_ms = min(retry_after, MAX_RETRY_AFTER) * 1000
        least_ms = min(MIN_PAUSE_MS << before, MAX_BACKOFF_MS)
        return round(max(asked_ms * random.uniform(1, 1.05), least_ms))

    def _settle(self, ending: Ending) -> None:
        """One atomic step; raises ClaimLost if the claim passed to somebody else meanwhile."""
        attempt, told = self.attempt, ending.told(self.attempt)
        end = ending.settlement(attempt, told)
        if attempt.line != "before":
            attempt.ledger.write_down(attempt.claim, end)
        lost = client.retry_while_unavailable(
            lambda: attempt.ledger.settle(attempt.claim, attempt.terms, end), PATIENCE
        )
        if lost is not None:
            self._log("claim lost", stands=lost, outcome=ending.outcome, **told)
            raise ClaimLost(self.gate.agent, self.key, f"while the task ran; the key is {lost} now")
        if attempt.line == "before" and ending.retry_ms is None:
            self._end(ending)
        self._log(ending.outcome, **told)

    def _end(self, ending: Ending) -> None:
        """Journal the end of a call that crossed no line.

        Not before it is settled: Redis may be compared with the journal meanwhile, and would learn of an end that never came.
        A done call that others follow stays open in the journal: after a loss it is run again, and they are started.
        """
        call, state = self.attempt.call, "done" if ending.outcome == "done" else "rejected"
        if state == "rejected" or not options.from_json(self.attempt.claim.options).has_followers:
            self.attempt.ledger.end(call, state, ending.error or str(ending.receipt.get("error", "")))

    def _log(self, event: str, **fields: Any) -> None:
        call = self.attempt.call
        level = "info" if event == "refused" or (event == "done" and "error" not in fields) else "error"
        getattr(log, level)(event, agent=call.agent, task=call.task, call=call.id, key=call.key, **fields)
