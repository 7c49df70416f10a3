"""One trace for each call, from where it was made to the request that it sends, by OpenTelemetry.

The ids of the trace and of its root span are digests of the call's id, so nothing has to be stored or sent with a message:
every process that meets the call adds its spans to the same trace. It is off, and costs one test of a cached value per
step, unless OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra `otel` is installed.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

import structlog

import settings
from state.model import Call

if TYPE_CHECKING:
    from gatekeeper.run.spans import Spans

log = structlog.get_logger("gatehouse.tracing")

Attribute = str | int
_NOTHING: AbstractContextManager[None] = nullcontext()


def registered(call: Call, began: float) -> None:
    """Add the root of a call's trace: its registration, which began at `began` by `time.monotonic`."""
    spans = _spans()
    if spans is not None:
        spans.add_root(call, _ms_since(began))


def step(name: str, call: Call | None = None, waited_ms: int | None = None) -> AbstractContextManager[None]:
    """Add a span for what happens in the block: below the root of this call's trace, or below the step around it.

    Args:
        name: What happens.
        call: The call, where no step of it is around the block.
        waited_ms: How long the call's message waited before; a span of its own tells it.

    """
    spans = _spans()
    return _NOTHING if spans is None else spans.step(name, call, waited_ms)


def finished(name: str, ms: int, **attributes: Attribute) -> None:
    """Add a span for something that just ended and took `ms` milliseconds."""
    spans = _spans()
    if spans is not None:
        spans.add(name, ms, attributes)


@cache
def _spans() -> Spans | None:
    """Return what makes spans in this process; None if tracing is off."""
    endpoint = settings.current().otel_exporter_otlp_endpoint
    if not endpoint:
        return None
    try:
        from gatekeeper.run.spans import Spans  # noqa: PLC0415 - the SDK is an extra, and large
    except ImportError as error:
        hint = "install the extra: pip install 'gatehouse[otel]'; or remove OTEL_EXPORTER_OTLP_ENDPOINT"
        log.warning("tracing is off", missing=str(error.name), hint=hint)
        return None
    return Spans(endpoint)


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
