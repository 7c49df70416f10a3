"""The pager: sends one page per alarm to an HTTP API, and looks it up there when the response is lost."""

import os
from urllib.parse import quote

from pydantic import BaseModel

import gatekeeper
from clients import http
from gatekeeper import Breaker, Effect

API = os.environ.get("PAGER_URL", "http://127.0.0.1:8300/pages")


class Page(BaseModel):
    """The page to send."""

    alarm: str
    text: str


class Sent(BaseModel):
    """A page that was sent, as the API names it."""

    id: int


def find(page: Page) -> Sent | None:
    """Look the page up: a 404 proves that it was not sent, and any other error proves nothing."""
    response = http.request("GET", _url(page))
    if response.status_code == 404:
        return None
    response.raise_for_status()
    return Sent.model_validate(response.json())


@gatekeeper.task(
    key="page:{alarm}",
    rate="10/minute",
    breaker=Breaker(after=5, cooldown="1m"),
    effect=Effect(verify=find, drain="5s", absences=2, every="5s"),
    attempts=3,
)
def page(alarm: str, text: str) -> Sent:
    """Send one page for an alarm, once."""
    with gatekeeper.effect(payload=Page(alarm=alarm, text=text)) as frozen:
        response = http.request("POST", _url(frozen), json=frozen.model_dump())
        response.raise_for_status()
    return Sent.model_validate(response.json())


def _url(page: Page) -> str:
    return f"{API}/{quote(page.alarm, safe='')}"
