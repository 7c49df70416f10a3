"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), and the call that it names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from gatekeeper.run.known import MAX_ID

NAME = "Idempotency-Key"
#: Characters of a key.
MAX_KEY = 200
#: The ids of these calls begin with this, and no other call's does (`gatekeeper.run.known.OWN_IDS`).
PREFIX = "api:"

#: The pattern of both forms, for the OpenAPI document.
PATTERN = rf'^("[ !#-\[\]-~]{{1,{MAX_KEY}}}"|[!#-+\--~]{{1,{MAX_KEY}}})$'
#: A string of structured fields (RFC 9651), in quotation marks; many clients send the bare text.
_QUOTED = re.compile(r'"(?P<text>(?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--~]+")
_ESCAPED = re.compile(r'\\(["\\])')


def read(request: Request) -> str:
    """Return the key of a request, without quotation marks; empty if it has none.

    Raises:
        HTTPException: 400 if the header is not a key, too long, or given more than once.

    """
    values = request.headers.getlist(NAME)
    if not values:
        return ""
    quoted, bare = _QUOTED.fullmatch(values[0]), _BARE.fullmatch(values[0])
    text = _ESCAPED.sub(r"\1", quoted["text"]) if quoted else bare and bare[0]
    if len(values) > 1 or not text or len(text) > MAX_KEY:
        raise HTTPException(400, f"{NAME} is one text of 1 to {MAX_KEY} visible characters, such as a UUID")
    return text


def call_id(program: str, task: str, key: str) -> str:
    """Return the id of the call of a task that a program names with this key: a second request with it is the same call."""
    id_ = f"{PREFIX}{program}:{task}:{quote(key, safe='')}"
    return id_ if len(id_) <= MAX_ID else f"{PREFIX}{program}:{task}:sha256-{hashlib.sha256(key.encode()).hexdigest()}"


def digest(arguments: Mapping[str, Any]) -> str:
    """Return a digest of what is asked for: another one under the same key is a mistake of the sender."""
    text = json.dumps(arguments, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
