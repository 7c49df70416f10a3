"""Log lines: one JSON object (or one console line) per event on stdout, without secrets."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

import settings
from gatekeeper.redact import hide_secrets
from state import terminal

#: Loggers whose lines repeat events of the gate, and the level from which they are shown.
_QUIET = {
    "celery.worker.strategy": logging.WARNING,
    "celery.app.trace": logging.CRITICAL,
    "celery.apps.worker": logging.WARNING,
    "celery.beat": logging.WARNING,
    "celery.worker.consumer.connection": logging.WARNING,
    "celery.utils.functional": logging.WARNING,
    "flower.inspector": logging.ERROR,
    "kombu": logging.WARNING,
    "urllib3": logging.INFO,
    "asyncio": logging.WARNING,
}

#: Loggers with handlers of their own, which would print tracebacks with untrusted text past our format.
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


class _Stdout:
    """Standard output that ignores a closed pipe: work goes on, and only the line is lost."""

    def write(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()


def configure() -> None:
    """Send every log line of this process, ours and the libraries', through one format."""
    config = settings.current()
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = _renderer(config.log_format)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stdout())),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(level, shared, renderer)


def _configure_libraries(level: int, shared: list[Processor], renderer: Processor) -> None:
    handler = logging.StreamHandler(_Stdout())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    logging.captureWarnings(capture=True)


def _renderer(log_format: str) -> Processor:
    if log_format == "console":
        return _console()
    # `json.dumps` with options makes an encoder for each line.
    encoder = json.JSONEncoder(ensure_ascii=False, default=_as_text)
    render: Any = structlog.processors.JSONRenderer(serializer=lambda event, **_: encoder.encode(event))

    def json_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return terminal.json_text(hide_secrets(render(logger, method, event)))

    return json_line


def _as_text(value: Any) -> Any:
    """Return a value that JSON has no type for as structlog writes it."""
    structured = getattr(value, "__structlog__", None)
    return structured() if structured else repr(value)


def _console() -> Processor:
    """Return the renderer of readable lines; values are made safe before it adds its colours."""
    render: Any = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())

    def console_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
        fields = {terminal.one_line(name): _safe_value(name, value) for name, value in event.items()}
        return hide_secrets(render(logger, method, fields))

    return console_line


def _safe_value(name: str, value: Any) -> Any:
    """Return a value as the console shows it; a traceback keeps its lines, indented so that none looks like an event."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = hide_secrets(value if isinstance(value, str) else repr(value))
    if name in {"exception", "stack"}:
        return terminal.lines(text).replace("\n", "\n  ")
    return terminal.one_line(text)
