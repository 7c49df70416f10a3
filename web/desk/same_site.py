"""Tell a form of ours from one that another site made the browser send (CSRF)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

import settings


def is_ours(request: Request) -> bool:
    """Return whether a page of this server sent a request; one without any sign of its origin was not.

    Browsers send Sec-Fetch-Site over https and to this machine, and Origin with every form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    host = request.headers.get("host", "")
    # A proxy may replace the Host; PUBLIC_URL is then the name that the browser knows.
    return bool(host) and origin.partition("://")[2] in {host, urlsplit(settings.current().public_url).netloc}
