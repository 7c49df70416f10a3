"""The analyst: collects the system's metrics and describes them, through the model ladder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel

import gatekeeper
from clients import sources
from clients.llm import fallback
from gatekeeper import Rung
from tasks.analyst import analysis, metrics, timeseries
from tasks.analyst.analysis import Analysis
from tasks.analyst.metrics import Metrics


class AnalysisRecord(BaseModel):
    """One analysis: what made it on which rung, its text, and the metrics it is about."""

    at: AwareDatetime
    rung: Rung
    by: str
    summary: str
    findings: list[str]
    unsupported_figures: list[str]  #: figures in the text that the metrics do not contain
    note: str | None
    numbers: Metrics


@gatekeeper.task(lease="3m")
def collect() -> dict[str, Any]:
    """Collect the metrics and analyse them; broken sources are recorded in the agent's state.

    Returns:
        The analysis without its metrics, the names of the broken sources, and what was left out of the others.

    """
    now = datetime.now(UTC)
    reading = sources.read_all("analyst", timeseries.summarize)
    gatekeeper.memory().put("broken_sources", reading.broken or None)
    gatekeeper.memory().put("left_out", reading.left_out or None)
    record = _analyse(metrics.collect(reading.parts, now), now)
    fields = record.model_dump(mode="json")
    brief = {name: value for name, value in fields.items() if name not in {"numbers", "findings"}}
    gatekeeper.memory().put("last_analysis", fields)
    gatekeeper.memory().record("analyses", now.date().isoformat(), value=brief)
    gatekeeper.memory().count("total_analyses")
    told = {"broken": sorted(reading.broken), "left_out": reading.left_out}
    return {name: value for name, value in fields.items() if name != "numbers"} | told


def _analyse(collected: Metrics, now: datetime) -> AnalysisRecord:
    answered = fallback.ask(
        analysis.question(collected),
        rules=lambda: analysis.by_rules(collected),
        raw=lambda: Analysis(summary=analysis.UNAVAILABLE),
    )
    text = answered.value
    return AnalysisRecord(
        at=now,
        rung=answered.rung,
        by=answered.by,
        summary=text.summary,
        findings=text.findings,
        unsupported_figures=analysis.unsupported_figures(text, collected) if answered.rung is Rung.MODEL else [],
        note=_note(answered.rung, answered.note),
        numbers=collected,
    )


def _note(rung: Rung, why: str | None) -> str | None:
    """Return why no better rung answered; for raw data, preceded by a note that there is no analysis."""
    return "; ".join(filter(None, [analysis.UNAVAILABLE if rung is Rung.RAW else None, why])) or None
