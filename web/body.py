"""Read the body of an untrusted request: limited in size, time and depth, and accepted only as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from clients.text import charsets, strict_json
from gatekeeper.policies.json_values import is_deeper_than

#: Bytes. Standard Webhooks advises 20 kB; a large event of a code host is some 100 kB.
MAX_BODY = 256 * 1024
#: Seconds until the whole body must have arrived. Senders are servers, and wait little longer for the answer.
MAX_READ_SECONDS = 3.0
#: Levels of lists and objects; real events have about ten.
MAX_DEPTH = 50

#: Characters of a media type with its parameters that are read, which takes quadratic time, and that are told.
MAX_TYPE, MAX_SHOWN = 500, 60

_JSON = {"application/json", "text/json"}
#: What is still missing of the body is not waited for.
_CLOSE = {"Connection": "close"}


async def read(request: Request) -> bytes:
    """Return the raw body.

    Raises:
        HTTPException: 400 if the connection ends too early, 408 if the body takes longer than MAX_READ_SECONDS, 413 if
            it is larger than MAX_BODY, 415 if it is not JSON in UTF-8 or is compressed.

    """
    _check_type(request.headers)
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY:
        raise _too_large()
    try:
        async with asyncio.timeout(MAX_READ_SECONDS):
            return await _collect(request)
    except TimeoutError:
        raise HTTPException(408, f"the body did not end within {MAX_READ_SECONDS:g} seconds", _CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the body did") from None


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a body; an empty object if there is no body.

    Raises:
        HTTPException: as `read` and `parse` do.

    """
    headers = request.headers
    declared = headers.get("content-length", "" if "transfer-encoding" in headers else "0")
    return {} if declared == "0" else parse(await read(request))


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raise HTTPException 400 if there is anything else in it."""
    try:
        content = strict_json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body {_describe(error)}") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body is JSON, but not an object")
    if is_deeper_than(MAX_DEPTH, content):
        raise HTTPException(400, f"the body is nested deeper than {MAX_DEPTH} levels")
    return content


def _describe(error: Exception) -> str:
    match error:
        case UnicodeDecodeError():
            return "is not UTF-8"
        case json.JSONDecodeError():
            return "is not JSON"
        case RecursionError():
            return f"is nested deeper than {MAX_DEPTH} levels"
    return "has a number that JSON cannot represent or that is too long"


async def _collect(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large()
    return bytes(body)


def _too_large() -> HTTPException:
    return HTTPException(413, f"a body has at most {MAX_BODY} bytes")


def _check_type(headers: Mapping[str, str]) -> None:
    given = headers.get("content-type", "")[:MAX_TYPE]
    content = Message()  # reads parameters in any order and case, quoted or not
    content["content-type"] = given
    kind, charset = content.get_content_type(), collapse_rfc2231_value(content.get_param("charset") or "utf-8")
    if kind not in _JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        instead = f", not {given[:MAX_SHOWN]!r}" if given else ""
        raise HTTPException(415, f"send the content type application/json{instead}")
    if charsets.codec(charset) not in {"utf-8", "ascii"}:
        raise HTTPException(415, f"send JSON in UTF-8, not in the charset {charset[:MAX_SHOWN]!r}")
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise HTTPException(415, "send the body uncompressed")
