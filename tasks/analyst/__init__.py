"""The analyst: gathers the numbers of the house and says what they mean, on the best rung that answers today."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel

import gatekeeper
from clients import sources
from clients.llm import fallback
from gatekeeper import Rung
from tasks.analyst import analysis, timeseries
from tasks.analyst import metrics as numbers
from tasks.analyst.metrics import Metrics


class AnalysisRecord(BaseModel):
    """One analysis: who made it on which rung, what it says, and the numbers it is about."""

    at: AwareDatetime
    rung: Rung
    by: str
    summary: str
    findings: list[str]
    unfounded: list[str]  #: figures that the text names and the numbers do not have
    note: str | None
    numbers: Metrics


@gatekeeper.task(lease="3m")
def collect() -> dict[str, Any]:
    """Gather and analyse; broken sources are told in the state. Answers the analysis without its numbers."""
    now = datetime.now(UTC)
    reading = sources.read_all("analyst", timeseries.summarize)
    gatekeeper.memory().put("broken_sources", reading.broken or None)
    collected = _analyse(numbers.collect(reading.parts, now), now)
    told = collected.model_dump(mode="json")
    brief = {name: value for name, value in told.items() if name not in {"numbers", "findings"}}
    gatekeeper.memory().put("last_analysis", told)
    gatekeeper.memory().record("analyses", now.date().isoformat(), value=brief)
    gatekeeper.memory().count("total_analyses")
    return {name: value for name, value in told.items() if name != "numbers"} | {"broken": sorted(reading.broken)}


def _analyse(found: Metrics, now: datetime) -> AnalysisRecord:
    answered = fallback.ask(
        analysis.question(found), rules=lambda: analysis.by_rules(found), raw=lambda: analysis.raw(found)
    )
    said = answered.value
    return AnalysisRecord(
        at=now,
        rung=answered.rung,
        by=answered.by,
        summary=said.summary,
        findings=said.findings,
        unfounded=analysis.unsupported_figures(said, found) if answered.rung is Rung.MODEL else [],
        note=_note(answered.rung, answered.note),
        numbers=found,
    )


def _note(rung: Rung, why: str | None) -> str | None:
    """Why no better rung answered; raw data says first what it is."""
    return "; ".join(filter(None, [analysis.UNAVAILABLE if rung is Rung.RAW else None, why])) or None
