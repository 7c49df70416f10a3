"""Removal of secrets from every text that is logged or stored."""

from __future__ import annotations

import json
import re
from functools import cache
from urllib.parse import quote, quote_plus

import settings
from gatekeeper import hostile
from gatekeeper.errors import RedactedError, UnstorableError

HIDDEN = "[hidden]"

#: Characters of a text in a log line; longer texts are cut.
MAX_TEXT = 2000
#: Characters. A text is cut to this before it is cleaned, because cleaning takes time that grows with the text.
MAX_CLEANED = 100_000

_USERINFO = re.compile(r"(?<=://)[^/@\s\"\\]+(?=@)")
_PARAMETER = re.compile(r"(?i)([?&](?:[a-z_-]*(?:token|key|secret|password|signature|sig))=)[^&#\s\"'\\]+")
_SCHEMES = ("bearer ", "basic ", "token ")
_BEARER = re.compile(r"(?i)\b(bearer|basic|token) +[a-z0-9._~+/=-]{8,}")


def hide_secrets(text: str) -> str:
    """Return the text, which may be JSON, without this installation's secrets and without credentials in URLs."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _USERINFO.sub(HIDDEN, text)
        text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    lowered = text.lower()
    # The pattern takes ten times as long. It also takes letters beyond ASCII for those of a scheme, such as a long s.
    if not text.isascii() or any(word in lowered for word in _SCHEMES):
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return text


@cache
def _secrets() -> tuple[str, ...]:
    """Return each secret as it is, and as JSON, URLs and Python write it, the longest first."""
    forms = {form for secret in settings.current().secrets for form in _spellings(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _spellings(secret: str) -> set[str]:
    once = {secret, *_quoted(secret), quote(secret, ""), quote(secret), quote_plus(secret)}
    return once | {twice for form in once for twice in _quoted(form)}


def _quoted(text: str) -> set[str]:
    """Return the text as `json.dumps` and `repr` write it between quotation marks."""
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}


def clean(text: str) -> str:
    """Return the text without secrets, cut to MAX_TEXT characters."""
    size = len(text)
    # A file name may hold bytes that are not Unicode, which Redis could not store.
    storable = text[:MAX_CLEANED].encode(errors="replace").decode()
    text = hide_secrets(storable)
    if size <= MAX_CLEANED:
        size = len(text)
    return text if size <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({size} characters)"


def redacted(error: Exception) -> Exception:
    """Return the error itself, or one with a clean text if Celery cannot store it or if it contains a secret."""
    text = hostile.traceback_of(error)
    if text is None:
        return UnstorableError(describe(error))
    return error if hide_secrets(text) == text else RedactedError(describe(error))


def describe(error: BaseException) -> str:
    """Return an exception as one clean text, its type and its message; never raise."""
    message = clean(hostile.text_of(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
