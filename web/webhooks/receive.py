"""The webhook door: `POST /hooks/{source}`. What is answered 202 is on record; the rest of the system goes on from there.

In this order: is it a source, does it fit, is it signed, what is it, was it here before, may it come in now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.errors import InvalidArguments
from gatekeeper.redact import clean
from state import limits
from state.ledger.ledger import ContentMismatch
from state.model import Call
from web import blocking, calls, problems
from web.webhooks import body as intake
from web.webhooks.field_path import MISSING, is_storable
from web.webhooks.signatures import BadSignature
from web.webhooks.sources import Routes, Start, WebhookSource
from workers import app

log = structlog.get_logger("gatehouse.hooks")

#: The name of this door; admit.lua knows it, because who comes through it does not ask again.
DOOR = "webhook"
#: Characters of a delivery's id as it stands in the call's, which is part of names in Redis and of an address.
MAX_ID = 200
#: Characters of an event's type.
MAX_EVENT = 100
#: The message is a hint and is sent again if it is lost; the sender's patience is short.
ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
#: Seconds after which a sender may find a row of the table corrected; most send again for days.
CORRECTED_AFTER = 300


@dataclass(frozen=True)
class Delivery:
    """One delivery that is proven to come from its source."""

    source: WebhookSource
    headers: Mapping[str, str]
    raw: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        return intake.parse(self.raw)

    @cached_property
    def event(self) -> str:
        """The event's type; parts that are missing behind the first are left out."""
        found = [place.find(self.headers, self.body) for place in self.source.event]
        parts = [part for part in found if isinstance(part, str) and part and is_storable(part)]
        text = ".".join(parts)
        if not parts or found[0] is not parts[0] or len(text) > MAX_EVENT:
            raise HTTPException(400, "the type of the event is missing, too long or no text")
        return text

    @cached_property
    def call_id(self) -> str:
        """The identity of the call: the same for the same delivery, whoever counts."""
        found = self.source.delivery.find(self.headers, self.body)
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        quoted = quote(text, safe="") if is_storable(text) else ""
        if not text.strip() or not 0 < len(quoted) <= MAX_ID:
            raise HTTPException(400, "the id of the delivery is missing, too long, or neither text nor number")
        return f"hook:{self.source.name}:{quoted}"

    def call(self, start: Start) -> Call:
        """The call that this delivery makes; raises HTTPException 400 if it does not fit the task."""
        found = {name: place.find(self.headers, self.body) for name, place in start.arguments.items()}
        arguments = {name: value for name, value in found.items() if value is not MISSING}
        try:
            return start.gate.call((), arguments, id=self.call_id, door=DOOR)
        except InvalidArguments as error:
            raise HTTPException(400, clean(str(error))) from None


async def receive(request: Request) -> Response:
    """Answer one delivery."""
    name = str(request.path_params["source"])
    try:
        source = _known(request.app.state.routes, name)
        delivery = Delivery(source, request.headers, await intake.read(request))
        _verify(delivery)
        start = source.starts.get(delivery.event)
        if start is None:
            return _answer(200, {"ignored": delivery.event}, source=name, type=delivery.event)
        call = delivery.call(start)
        told = {"call": call.id, "status_url": calls.address(call.id)}
        fresh = await blocking.for_store(partial(_accept, delivery, call))
    except HTTPException as refused:
        log.warning("webhook refused", source=clean(name)[:80], status=refused.status_code, why=refused.detail)
        raise
    names = {"agent": call.agent, "task": call.task, "call": call.id, "key": call.key}
    return _answer(202 if fresh else 200, told, source=name, type=delivery.event, **names)


def _known(routes: Routes | None, name: str) -> WebhookSource:
    """The source of this name, if it can be trusted; whoever asks is not told which of the two is missing."""
    if routes is None or name in routes.refused:
        raise HTTPException(503, "this source is not set up well here; come again", problems.later(CORRECTED_AFTER))
    source = routes.sources.get(name)
    if source is None or not source.keys:
        if source is not None:
            log.error("webhook without a secret", source=name, next=f"set {source.variable}, and start again")
        raise HTTPException(404, "no such source is set up here")
    return source


def _verify(delivery: Delivery) -> None:
    try:
        delivery.source.verify(delivery.headers, delivery.raw)
    except BadSignature as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Signature"}) from None


def _accept(delivery: Delivery, call: Call) -> bool:
    """Put the call on record; False if it is there already. Raises HTTPException 429 or 422."""
    rate = delivery.source.rate
    seconds = limits.throttle(delivery.source.name, rate.burst, rate.every_ms)
    if seconds:
        raise HTTPException(429, f"more than {rate.text} from this source", problems.later(seconds))
    digest = hashlib.sha256(delivery.raw).hexdigest()[:32]
    try:
        return app.accept(call, digest=digest, retry_policy=ONE_TRY)
    except ContentMismatch:
        raise HTTPException(
            422, "a delivery with this id came in before, with another body or for another task"
        ) from None


def _answer(status: int, content: dict[str, str], **seen: str) -> Response:
    log.info("webhook", status=status, **seen)
    return JSONResponse(content, status, {"Cache-Control": "no-store"})
