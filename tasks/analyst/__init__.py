"""The analyst: collects the system's metrics and describes them, through the model ladder."""

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
    """One analysis: what made it on which rung, its text, and the metrics it is about."""

    at: AwareDatetime
    rung: Rung
    by: str
    summary: str
    findings: list[str]
    unfounded: list[str]  #: figures in the text that the metrics do not contain
    note: str | None
    numbers: Metrics


@gatekeeper.task(lease="3m")
def collect() -> dict[str, Any]:
    """Collect the metrics and analyse them; broken sources are recorded in the agent's state.

    Returns:
        The analysis without its metrics, and the names of the broken sources.

    """
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
    """Return why no better rung answered; for raw data, preceded by a note that there is no analysis."""
    return "; ".join(filter(None, [analysis.UNAVAILABLE if rung is Rung.RAW else None, why])) or None
