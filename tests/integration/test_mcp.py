"""MCP over real HTTP, by the official client: any model gets the guardrails instead of the raw tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import pytest

from tests import senders
from tests.effects.client import EffectServer
from tests.harness import Install, patient, until
from tests.harness.shell import Shell
from tests.programs import CALLER, OWNER, READER, TOKENS, Program, fresh, problem

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, Tool

pytestmark = pytest.mark.usefixtures("web")

Result = TypeVar("Result")


@pytest.fixture(scope="module")
def web_env() -> dict[str, str]:
    return {"API_TOKENS": TOKENS, "MCP": "on"}


def by_client(house: Install, use: Callable[[Client], Awaitable[Result]], token: str = OWNER) -> Result:
    """Use the official client, in its newest protocol or an older one."""
    from mcp import Client  # a second, which every process of a parallel run would spend at collection
    from mcp.client.streamable_http import streamable_http_client

    async def connect() -> Result:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=patient(60), trust_env=False) as http,
            Client(streamable_http_client(f"{house.web_url}/mcp", http_client=http)) as client,
        ):
            return await use(client)

    return asyncio.run(connect())


def tools(house: Install, token: str = OWNER) -> dict[str, Tool]:
    async def listed(client: Client) -> dict[str, Tool]:
        return {tool.name: tool for tool in (await client.list_tools()).tools}

    return by_client(house, listed, token)


def call(house: Install, name: str, token: str = OWNER, **arguments: Any) -> CallToolResult:
    async def called(client: Client) -> CallToolResult:
        return await client.call_tool(name, arguments)

    return by_client(house, called, token)


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert content.type == "text"
    said, _, found = content.text.partition("\n")
    assert json.loads(found) == result.structured_content, "clients that pass on text only get the same"
    return said


# Tools


def test_every_task_is_a_tool_with_the_schema_of_its_contract(house: Install) -> None:
    found = tools(house)

    publish = found["publisher_publish"]
    assert publish.title == "tasks.publisher.publish"
    assert publish.input_schema["properties"]["destination"]["enum"] == ["feed", "mastodon", "threads"]
    assert publish.input_schema["required"] == ["post_id", "destination"]
    assert "Publish one post now" in str(publish.description)
    assert publish.annotations is not None
    assert (publish.annotations.read_only_hint, publish.annotations.destructive_hint) == (False, True)
    assert found["counter_add"].input_schema["required"] == ["a", "b", "idempotency_key"]


def test_a_token_sees_what_it_may_call_and_looks_only_if_it_may_read(house: Install) -> None:
    looks = {"gatehouse_held", "gatehouse_explain", "gatehouse_agents"}

    assert set(tools(house, READER)) == looks
    assert set(tools(house, CALLER)) == {"counter_add", "storyteller_publish", *(n for n in tools(house) if n.startswith("storyteller_"))}  # fmt: skip
    assert looks <= set(tools(house))


def test_no_tool_decides_for_a_person(house: Install) -> None:
    words = ("approve", "resolve", "reject", "resume", "pause", "revise", "autonomy")

    assert [name for name in tools(house) if any(word in name for word in words)] == []


def test_the_names_of_tools_are_what_models_allow(house: Install) -> None:
    assert all(len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum() for name in tools(house))


# Calls


def test_a_call_runs_and_a_repeated_one_is_the_same(house: Install) -> None:
    key = fresh()

    first = call(house, "counter_add", a=20, b=22, idempotency_key=key)
    again = call(house, "counter_add", a=20, b=22, idempotency_key=key)

    assert (first.is_error, text(first)) == (False, "Done.")
    assert first.structured_content["result"] == 42
    assert again.structured_content["call"] == first.structured_content["call"]
    assert house.explain(first.structured_content["call"])["story"][0]["door"] == "mcp (owner)"


def test_an_effect_happens_once_however_often_a_model_calls(house: Install, effects: EffectServer) -> None:
    post = fresh()

    answers = [call(house, "storyteller_publish", CALLER, post_id=post) for _ in range(3)]

    assert [answer.is_error for answer in answers] == [False] * 3
    assert text(answers[0]) == "Done."
    assert text(answers[1]) == text(answers[2]) == "It was done before; nothing was done again."
    assert effects.counts()[f"story:{post}"] == 1


def test_a_refusal_is_an_error_that_says_why_and_when(house: Install, shell: Shell) -> None:
    shell.gate("pause", "storyteller", "--why", "looking")
    try:
        paused = call(house, "storyteller_publish", post_id=fresh())
    finally:
        shell.gate("resume", "storyteller")

    assert paused.is_error
    assert text(paused).startswith("Not done, at the stage paused: paused")
    assert paused.structured_content["stage"] == "paused"
    assert paused.structured_content["ok"] is False


def test_a_call_above_the_rate_is_told_when_it_runs_and_not_to_call_again(house: Install) -> None:
    answers = [call(house, "clerk_hourly", n=n, idempotency_key=fresh()) for n in (1, 2)]

    waits = answers[1]
    assert answers[0].structured_content["state"] == "done"
    assert not waits.is_error
    assert "runs by itself later, in about" in text(waits)
    assert "Do not call again." in text(waits)
    assert waits.structured_content["retry_after"] > 1000


def test_an_effect_in_doubt_is_told_as_such(house: Install, effects: EffectServer) -> None:
    post = fresh()
    effects.mode("apply_then_reset", key=f"story:{post}")

    doubt = call(house, "storyteller_publish", post_id=post)

    assert doubt.structured_content["state"] == "unknown"
    assert "it may have happened" in text(doubt)
    assert effects.counts()[f"story:{post}"] == 1
    assert post in json.dumps(call(house, "gatehouse_held", READER).structured_content)


def test_what_waits_for_a_person_is_told_at_once_and_is_done_when_that_person_approves(
    house: Install, shell: Shell, effects: EffectServer
) -> None:
    post = fresh()
    shell.gate("autonomy", "storyteller", "ask", "--why", "a model may publish")
    try:
        waits = call(house, "storyteller_publish", post_id=post)
        again = call(house, "storyteller_publish", post_id=post)
        sent = effects.counts().get(f"story:{post}", 0)
        shell.gate("approve", f"story:{post}", "--why", "read")
        until(lambda: effects.counts().get(f"story:{post}") == 1, 20, "the effect that was approved")
    finally:
        shell.gate("autonomy", "storyteller", "act", "--why", "done")

    assert (waits.is_error, waits.structured_content["state"], sent) == (False, "held", 0)
    assert text(waits).startswith("It waits for a person's decision, and nothing was sent.")
    assert again.is_error
    assert "held" in text(again)
    until(lambda: call(house, "storyteller_publish", post_id=post).structured_content["state"] == "done", 20, "done")
    assert effects.counts()[f"story:{post}"] == 1


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("counter_add", {"a": "x", "b": 2, "idempotency_key": "k"}, "a"),
        ("counter_add", {"a": 1, "b": 2, "c": 3, "idempotency_key": "k"}, "c"),
        ("counter_add", {"a": 1, "b": 2}, "idempotency_key is missing"),
        ("counter_add", {"a": 1, "b": 2, "idempotency_key": 7}, "idempotency_key is missing"),
        ("counter_add", {"a": 1, "b": 2, "idempotency_key": "x" * 300}, "idempotency_key is missing"),
        ("publisher_publish", {"post_id": "x", "destination": "nowhere"}, "destination"),
        ("no_such_tool", {}, "there is no tool 'no_such_tool' for the token of owner"),
        ("gatehouse_explain", {"key": "never:heard"}, "neither a key nor a call 'never:heard' is known"),
        ("gatehouse_explain", {}, "key must be a text"),
        ("gatehouse_held", {"agent": 7}, "agent must be a text"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it_and_starts_nothing(
    house: Install, name: str, arguments: dict[str, Any], why: str
) -> None:
    refused = call(house, name, **arguments)

    assert refused.is_error
    assert why in text(refused)
    assert "Nothing was done." in text(refused)


def test_a_key_that_was_used_for_other_arguments_is_refused(house: Install) -> None:
    key = fresh()
    call(house, "counter_add", a=1, b=1, idempotency_key=key)

    other = call(house, "counter_add", a=1, b=2, idempotency_key=key)

    assert other.is_error
    assert "was used before, with other arguments" in text(other)


def test_a_program_calls_no_tool_that_its_token_does_not_allow(house: Install) -> None:
    for name, token in (("publisher_publish", CALLER), ("gatehouse_held", CALLER), ("counter_add", READER)):
        assert "there is no tool" in text(call(house, name, token, post_id="x", destination="feed", a=1, b=2))


def test_a_key_is_explained(house: Install) -> None:
    post = fresh()
    call(house, "storyteller_publish", post_id=post)

    found = call(house, "gatehouse_explain", READER, key=f"story:{post}").structured_content

    assert (found["state"], found["agent"]) == ("done", "storyteller")


# The door


def test_without_a_token_of_ours_nobody_comes_in(house: Install) -> None:
    for token, why in (("", "Bearer"), ("wrong", "not in API_TOKENS")):
        assert why in problem(Program(house, token).send("POST", "/mcp", {}), 401)


def test_other_methods_are_405_and_say_what_to_send(house: Install) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer = Program(house).send(method, "/mcp")
        assert "send POST" in problem(answer, 405)
        assert answer.headers["allow"] == "POST"


def test_a_page_of_another_site_is_kept_out(house: Install) -> None:
    headers = {"Origin": "https://evil.example"}

    assert "another site" in problem(Program(house).send("POST", "/mcp", {}, headers), 403)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"jsonrpc": "2.0"}', 400),
        (b"\xff\xfe", 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 7}}', 200),
        (b"x" * 300_000, 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_the_protocol_is_answered_and_breaks_nothing(house: Install, body: bytes, status: int) -> None:
    headers = {
        "Authorization": f"Bearer {OWNER}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }

    answer = senders.send(f"{house.web_url}/mcp", body, headers)

    assert answer.status == status, answer


def test_many_clients_at_once_are_served(house: Install) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: call(house, "counter_add", a=n, b=1, idempotency_key=fresh()), range(16)))

    assert [answer.structured_content["result"] for answer in answers] == [n + 1 for n in range(16)]
