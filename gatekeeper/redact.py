"""Keeping secrets where they belong: nothing that is logged or stored may carry one."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

import settings
from gatekeeper import hostile
from gatekeeper.errors import RedactedError, UnstorableError

HIDDEN = "[hidden]"

#: Long texts are cut: a log line is for reading.
MAX_TEXT = 2000
#: What is cut before it is cleaned: the time that cleaning takes grows with the text.
MAX_CLEANED = 100_000

_USERINFO = re.compile(r"(?<=://)[^/@\s\"\\]+(?=@)")
_PARAMETER = re.compile(r"(?i)([?&](?:[a-z_-]*(?:token|key|secret|password|signature|sig))=)[^&#\s\"'\\]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic|token) +[a-z0-9._~+/=-]{8,}")


def hide_secrets(text: str) -> str:
    """The text, which may be JSON, without this installation's secrets and without credentials in URLs."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _USERINFO.sub(HIDDEN, text)
        text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


@cache
def _secrets() -> tuple[str, ...]:
    """Each secret as it is, and as JSON, URLs and Python write it; the longest first."""
    forms = {form for secret in settings.current().secrets for form in _spellings(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _spellings(secret: str) -> set[str]:
    once = {secret, *_quoted(secret), quote(secret, ""), quote(secret), quote_plus(secret)}
    return once | {twice for form in once for twice in _quoted(form)}


def _quoted(text: str) -> set[str]:
    """The text between quotation marks, as `json.dumps` and `repr` write it."""
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}


def clean(text: str) -> str:
    """The text without secrets, and not too long."""
    size = len(text)
    # The name of a file may not be Unicode, and Redis takes no other text.
    storable = text[:MAX_CLEANED].encode(errors="replace").decode()
    text = hide_secrets(storable)
    if size <= MAX_CLEANED:
        size = len(text)
    return text if size <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({size} characters)"


def clean_all(value: Any) -> Any:
    """`clean` for every text inside a structure of dicts and lists."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean_all(name): clean_all(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean_all(inner) for inner in value]
    return value


def redacted(error: Exception) -> Exception:
    """The error itself, or one that says the same where Celery cannot store it, or where it carries a secret."""
    text = hostile.traceback_of(error)
    if text is None:
        return UnstorableError(describe(error))
    return error if hide_secrets(text) == text else RedactedError(describe(error))


def describe(error: BaseException) -> str:
    """An exception as one clean line: its type and what it says. Never raises."""
    words = clean(hostile.text_of(error))
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
