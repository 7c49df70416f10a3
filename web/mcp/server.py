"""The protocol, by the official SDK: lists the tools of a token, and calls one. Each request stands for itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from api_token import ApiToken
from gatekeeper.errors import InvalidArguments
from state.model import ContentMismatch
from web import blocking, body
from web.api import submission
from web.mcp import answers, tools
from web.mcp.answers import ToolAnswer
from web.mcp.tools import IDEMPOTENCY, LookTool, TaskTool

log = structlog.get_logger("gatehouse.mcp")

#: Seconds that a tool waits for the end of its call; most clients wait for a minute.
WAIT_SECONDS = 20.0

INSTRUCTIONS = (
    "These tools run tasks behind a gate. A call is on record when it is answered. A refusal says why, and when to try again; "
    "do not work around it. What waits for a person is decided by a person, and not by you."
)

Context = ServerRequestContext[Any, Request]


async def _list(context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    token = _token(context)
    found = [_of_task(tool) for tool in tools.of_tasks(token).values()]
    found += [_of_look(name, look) for name, look in tools.looks(token).items()]
    return types.ListToolsResult(tools=found)


async def _call(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    token, arguments = _token(context), params.arguments or {}
    task, look = tools.of_tasks(token).get(params.name), tools.looks(token).get(params.name)
    try:
        if task is not None:
            answer = await _run(task, arguments, token)
        elif look is not None:
            answer = await _look(look, arguments)
        else:
            raise InvalidArguments(f"there is no tool {params.name[:80]!r} for the token of {token.name}")
    except (InvalidArguments, ContentMismatch) as error:
        answer = answers.of_mistake(error)
    except HTTPException as error:
        answer = answers.of_problem(error)
    content = types.TextContent(type="text", text=answer.text)
    return types.CallToolResult(content=[content], structured_content=answer.content, is_error=answer.is_error)


async def _run(tool: TaskTool, arguments: Mapping[str, Any], token: ApiToken) -> ToolAnswer:
    """Register the call that a program asks for, and wait a while for its end."""
    asked = tool.submission(arguments, token)
    call = asked.call()
    try:
        created = await blocking.call_store(partial(submission.submit, asked, call))
    except ContentMismatch:
        raise InvalidArguments(f"this {IDEMPOTENCY} was used before, with other arguments; take a new one") from None
    log.info("mcp call", program=token.name, created=created, **call.log_fields())
    return answers.of_call(call, await submission.end(call, WAIT_SECONDS, _stays))


async def _look(look: LookTool, arguments: Mapping[str, Any]) -> ToolAnswer:
    found = await blocking.call_store(partial(look.look, arguments))
    return ToolAnswer("This is what there is now.", found if isinstance(found, dict) else {"found": found})


async def _stays() -> bool:
    """Return whether the client has left; the SDK cancels the request then."""
    return False


def _token(context: Context) -> ApiToken:
    assert context.request is not None  # noqa: S101 - every message came by HTTP, through the door
    token: ApiToken = context.request.state.token
    return token


def _of_task(tool: TaskTool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=False,
        destructive_hint=tool.spec.effect is not None,
        idempotent_hint=True,
        open_world_hint=tool.spec.effect is not None,
    )
    return types.Tool(
        name=tool.name,
        title=tool.spec.name,
        description=tool.description,
        input_schema=tool.schema,
        annotations=hints,
    )


def _of_look(name: str, look: LookTool) -> types.Tool:
    hints = types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return types.Tool(name=name, description=look.description, input_schema=look.schema, annotations=hints)


_server: Server[Any] = Server(
    "gatehouse", version="1", instructions=INSTRUCTIONS, on_list_tools=_list, on_call_tool=_call
)
logging.getLogger("mcp").setLevel(logging.WARNING)  # it logs each session, and here each request is one


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request. It has a session of its own, so that nothing has to run between two requests."""
    manager = StreamableHTTPSessionManager(
        _server, json_response=True, stateless=True, max_request_body_size=body.MAX_BODY
    )
    async with manager.run():
        await manager.handle_request(scope, receive, send)
