"""`POST /hooks/{source}`: verify a delivery and accept the call that it starts. A delivery answered 202 is on record.

The steps, in this order: find the source, read the body, verify the signature, find the event's type and its task,
build the call, check the rate, and put the call on record unless it is there already.
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
from gatekeeper.policies.json_values import is_valid_unicode
from gatekeeper.redact import clean
from state import limits
from state.constants import WEBHOOK
from state.model import Call, ContentMismatch
from web import blocking, body, links, problems
from web.webhooks.field_path import MISSING
from web.webhooks.signed import BadSignature
from web.webhooks.sources import Routes, Start, WebhookSource
from workers import app

log = structlog.get_logger("gatehouse.hooks")

#: The origin of these calls. admit.lua treats it apart, because a sender that got 202 does not ask again.
ORIGIN = WEBHOOK
#: Characters of a delivery's id, percent-encoded: it is part of names in Redis and of an address.
MAX_DELIVERY_ID = 200
#: Characters of an event's type.
MAX_EVENT = 100
#: Seconds after which a sender may find a row of the table corrected; most send again for days.
MISCONFIGURED_RETRY_SECONDS = 300


@dataclass(frozen=True)
class Delivery:
    """One delivery that its source signed."""

    source: WebhookSource
    headers: Mapping[str, str]
    raw: bytes

    @classmethod
    def verified(cls, source: WebhookSource, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """Return the delivery; raise HTTPException 401 unless the source signed it."""
        try:
            return cls(source, source.verify(headers, raw), raw)
        except BadSignature as error:
            raise HTTPException(401, str(error), {"WWW-Authenticate": "Signature"}) from None

    @cached_property
    def content(self) -> dict[str, Any]:
        """The JSON object in the body; raises HTTPException 400 if there is none."""
        return body.parse(self.raw)

    @cached_property
    def event(self) -> str:
        """The event's type, whose parts behind the first may be missing; raises HTTPException 400."""
        values = [path.find(self.headers, self.content) for path in self.source.event]
        parts = [value for value in values if isinstance(value, str) and value and is_valid_unicode(value)]
        text = ".".join(parts)
        if not parts or values[0] is not parts[0] or len(text) > MAX_EVENT:
            raise HTTPException(400, "the type of the event is missing, too long or not text")
        return text

    @cached_property
    def call_id(self) -> str:
        """The id of the call, the same for the same delivery; raises HTTPException 400 without a usable delivery id."""
        value = self.source.delivery.find(self.headers, self.content)
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        quoted = quote(text, safe="") if is_valid_unicode(text) else ""
        if not text.strip() or not 0 < len(quoted) <= MAX_DELIVERY_ID:
            raise HTTPException(400, "the id of the delivery is missing, too long, or neither text nor a number")
        return f"hook:{self.source.name}:{quoted}"

    def digest(self, call: Call) -> str:
        """Return what a repetition of this delivery has in common with it, as 32 hex digits."""
        content = self.raw if self.source.scheme.repeats_bytes else call.kwargs.encode()
        return hashlib.sha256(content).hexdigest()[:32]

    def call(self, start: Start) -> Call:
        """Return the call that this delivery starts; raise HTTPException 400 if it does not fit the task."""
        values = {name: path.find(self.headers, self.content) for name, path in start.arguments.items()}
        arguments = {name: value for name, value in values.items() if value is not MISSING}
        try:
            return start.task.call((), arguments, id=self.call_id, origin=ORIGIN)
        except InvalidArguments as error:
            raise HTTPException(400, clean(str(error))) from None


async def receive(request: Request) -> Response:
    """Answer one delivery."""
    name = str(request.path_params["source"])
    try:
        source = _find_source(request.app.state.webhooks, name)
        delivery = Delivery.verified(source, request.headers, await body.read(request))
        if greeting := source.scheme.greet(delivery.content):
            return _answer(200, greeting, source=name, type="greeting")
        start = source.starts.get(delivery.event)
        if start is None:
            return _answer(200, {"ignored": delivery.event}, source=name, type=delivery.event)
        call = delivery.call(start)
        content = {"call": call.id, "status_url": links.signed_url(call.id)}
        created = await blocking.call_store(partial(_accept, delivery, call))
    except HTTPException as refusal:
        log.warning("webhook refused", source=clean(name)[:80], status=refusal.status_code, reason=refusal.detail)
        raise
    return _answer(202 if created else 200, content, source=name, type=delivery.event, **call.log_fields())


def _find_source(routes: Routes | None, name: str) -> WebhookSource:
    """Return the source of this name; an unknown one and one without a secret get the same answer."""
    if routes is None or name in routes.refused:
        retry = problems.retry_after(MISCONFIGURED_RETRY_SECONDS)
        raise HTTPException(503, "this source is misconfigured on the server; retry later", retry)
    source = routes.sources.get(name)
    if source is None or not source.keys:
        if source is not None:
            log.error("webhook without a secret", source=name, hint=f"set {source.variable}, and start again")
        raise HTTPException(404, "this source is not set up here")
    return source


def _accept(delivery: Delivery, call: Call) -> bool:
    """Put the call on record.

    Returns:
        False if it was on record before.

    Raises:
        HTTPException: 429 above the source's rate, 422 if the id belongs to another delivery.

    """
    rate = delivery.source.rate
    seconds = limits.throttle(delivery.source.name, rate.burst, rate.every_ms)
    if seconds:
        raise HTTPException(429, f"more than {rate.text} from this source", problems.retry_after(seconds))
    try:
        return app.accept(call, digest=delivery.digest(call), retry_policy=blocking.ONE_TRY)
    except ContentMismatch:
        raise HTTPException(422, "an earlier delivery with this id had another body or was for another task") from None


def _answer(status: int, content: dict[str, str], **fields: str) -> Response:
    log.info("webhook", status=status, **fields)
    return JSONResponse(content, status, {"Cache-Control": "no-store"})
