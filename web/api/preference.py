"""The header Prefer (RFC 7240): how long a program waits for the end of its call."""

from __future__ import annotations

from starlette.requests import Request

#: Seconds; a proxy often ends a request after a minute.
MAX_WAIT = 30
#: Digits of a number of seconds.
MAX_DIGITS = 9


def seconds(request: Request) -> int | None:
    """Return the seconds of `Prefer: wait=SECONDS`, MAX_WAIT at most.

    Returns:
        None if the request does not ask to wait; a preference that cannot be read is none.

    """
    for each in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = each.partition(";")[0].partition("=")
        number = value.strip().strip('"')
        if name.strip().lower() == "wait" and number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS:
            return min(int(number), MAX_WAIT)
    return None
