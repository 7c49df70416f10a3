"""`POST /tasks/{name}`: call a task. A request that is answered 202 is on record."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatekeeper.errors import InvalidArguments
from gatekeeper.policies.spec import registered
from gatekeeper.redact import clean
from state.agents.progress import CallProgress
from state.model import Call, ContentMismatch
from web import blocking, body, links, problems
from web.api import access, idempotency, preference, schemas, submission
from web.api.operation import ApiAnswer, Asked, unfit
from web.api.submission import KeyMissing, Submission

log = structlog.get_logger("gatehouse.api")

#: What the document says of the answers.
ANSWERS = {
    200: ("The call has ended; this is its answer", schemas.ENDED),
    202: ("The call is on record, and has not ended yet", schemas.ACCEPTED),
}
PROBLEMS = frozenset({404, 408, 409, 413, 415, 422})
#: Seconds after which a repeated request may find the first one's call ended.
RETRY_SECONDS = 2


async def call_task(asked: Asked) -> Response:
    """Register the call that a request names, and answer with its end if that comes in time."""
    request, name = asked.request, asked.path("name")
    access.require_call(asked.token, name)
    spec = registered().get(name)
    if spec is None:
        raise HTTPException(404, f"there is no task {name[:80]!r}; GET /api/openapi.json lists those that there are")
    key, wait = idempotency.read(request), preference.seconds(request)
    asked_for = Submission(spec, await body.read_object(request), asked.token.name, idempotency_key=key)
    call = _call(asked_for)
    status_url = links.signed_url(call.id)
    created = await _submit(asked_for, call)
    found = await submission.end(call, wait or 0, request.is_disconnected) if wait or not created else None
    return _answered(call, found, status_url, created=created, wait=wait)


def _call(asked: Submission) -> Call:
    try:
        return asked.call()
    except KeyMissing as error:
        raise HTTPException(
            400, f"{error}; send the header {idempotency.NAME} with a text of your own, such as a UUID"
        ) from None
    except InvalidArguments as error:
        raise unfit(error.fields, clean(str(error))) from None


async def _submit(asked: Submission, call: Call) -> bool:
    try:
        created = await blocking.call_store(partial(submission.submit, asked, call))
    except ContentMismatch:
        raise HTTPException(
            422, f"this {idempotency.NAME} was used before for this task, with other arguments; take a new one"
        ) from None
    except InvalidArguments as error:  # such as an id that is too long to be stored
        raise HTTPException(422, clean(str(error))) from None
    log.info("api call", program=asked.program, created=created, **call.log_fields())
    return created


def _answered(call: Call, found: CallProgress | None, status_url: str, *, created: bool, wait: int | None) -> Response:
    names = {"call": call.id, "status_url": status_url}
    headers = {"Location": status_url, "Vary": "Prefer"}
    if wait is not None:
        headers |= {"Preference-Applied": f"wait={wait}"}
    if found is not None and found.has_ended:
        return ApiAnswer(names | {"state": found.state} | submission.answer(call, found), headers=headers)
    state = {} if found is None else {"state": found.state}
    if created:
        return ApiAnswer(names | state, 202, headers)
    raise _conflict(names | state, headers)


def _conflict(names: Mapping[str, str], headers: Mapping[str, str]) -> problems.Problem:
    detail = (
        f"the call of this {idempotency.NAME} has not ended yet; ask its status_url, or send the request again later"
    )
    return problems.Problem(409, detail, names, {**headers, **problems.retry_after(RETRY_SECONDS)})
