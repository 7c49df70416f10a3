"""`GET /calls/{id}`: show the state and the result of a call, never its arguments.

A request with the signed address that the webhook's sender received sees all fields. A request without a signature that
comes directly from this machine sees how far the call is. Every other request is refused, whether or not the call exists.
A browser without a signature is led to the desk, which shows everything to a person who is signed in.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.policies.spec import agents
from state.agents import history
from web import blocking, hosts, links, pages
from web.desk.keys import show_at_desk

#: The fields of an answer, in this order.
FIELDS = ("call", "agent", "task", "key", "state", "result", "answer")
#: The fields without a signature. A key may name a person, a result may be a whole analysis, and a proxy on this machine
#: that hides where a request comes from makes a stranger look like this machine.
UNSIGNED_FIELDS = ("call", "agent", "task", "state")


async def show(request: Request) -> Response:
    """Answer with the state and the result of one call; show a person at the desk the page of it."""
    if pages.wanted(request) and links.PARAMETER not in request.query_params:
        return await show_at_desk(request)
    call = str(request.path_params["call"])
    names = FIELDS if _is_signed(request, call) else UNSIGNED_FIELDS
    fields = await blocking.call_store(partial(_look_up, call))
    if fields is None:
        raise HTTPException(404, "no call with this id is known; finished calls are forgotten after a while")
    return JSONResponse({name: fields[name] for name in names}, headers={"Cache-Control": "no-store"})


def _is_signed(request: Request, call: str) -> bool:
    """Return whether a request has the call's signature; raise HTTPException 401 if it may see nothing."""
    signature = request.query_params.get(links.PARAMETER)
    if signature is None and hosts.is_direct_and_local(request):
        return False
    if signature is not None and links.is_signed(call, signature):
        return True
    detail = "use the whole status_url from the answer to the webhook; only its sender may see this page"
    raise HTTPException(401, detail, {"WWW-Authenticate": "Signature"})


def _look_up(call: str) -> dict[str, Any] | None:
    for agent in agents():
        record = history.of_call(agent, call)
        if record:
            fields = {name: record.get(name) for name in FIELDS}
            # The key of a refused call may have a result that belongs to another call.
            return fields if fields["state"] == "done" else fields | {"result": None}
    return None
