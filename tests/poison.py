"""Entries of a queue that are not messages, or odd ones, as a stranger's client or a slip of the hand leaves them there."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

#: Whose messages the readable ones are.
TASK = "storyteller.publish"
#: Entries of the queue that are not even envelopes.
RAW: list[str | bytes] = [
    "plain text", "null", "{}", "[]", "7", '"text"', b"\xff\xfe\x00", "", "[" * 100_000, "{" * 20, "NaN",
    '{"properties": null}', '{"properties": []}', '{"properties": {}, "headers": []}', '{"a": {"__type__": "decimal", "__value__": "x"}}',
    '{"a": {"__type__": "nosuch", "__value__": 1}}', '{"properties": {"delivery_info": {}}, "body": 5}', "9" * 5000,
]  # fmt: skip


def message(headers: Any = None, body: Any = None, properties: Any = None, envelope: Any = None) -> str:
    """Make a message as Celery does, but for what is given."""
    call = str(uuid4())
    content = [[], {"post_id": "poison"}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    text = json.dumps(content if body is None else body)
    whole = {
        "body": base64.b64encode(text.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": call, **(headers or {})},
        "properties": {
            "correlation_id": call, "delivery_mode": 2, "priority": 0, "body_encoding": "base64", "delivery_tag": call,
            "delivery_info": {"exchange": "", "routing_key": "celery"}, **(properties or {}),
        },
    }  # fmt: skip
    return json.dumps({**whole, **(envelope or {})})


def _without(name: str) -> str:
    """Make a message without one header."""
    found = json.loads(message())
    del found["headers"][name]
    return json.dumps(found)


def _each(names: Sequence[str], odd: Sequence[Any]) -> list[dict[str, Any]]:
    """Return every name with every odd value."""
    return [{name: value} for name in names for value in odd]


_ODD: list[Any] = [["x"], {"a": 1}, 7, 1.5, True, ""]
_HEADERS: list[Any] = [
    *_each(["task"], [*_ODD, None, "\ud800", "x" * 10_000, "a\nb"]),
    *_each(["id"], [*_ODD, None, "\ud800", "x" * 10_000, "a\nb"]),
    *_each(["timelimit"], [["x", None], [1], [1, 2, 3], "5", 5, {"a": 1}, [-1, None], [{}, {}], [True, None]]),
    *_each(["eta"], [["x"], 7, "tomorrow", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", {}]),
    *_each(["expires"], [["x"], 7, "yesterday", "0001-01-01T00:00:00+14:00", {}]),
    *_each(["retries"], ["x", [1], -1, 1.5, {}]),
    *_each(("root_id", "parent_id", "group", "shadow", "origin", "lang"), ([1], {"a": 1}, 7)),
    *_each(("argsrepr", "kwargsrepr"), ([1], {"a": 1}, 7)),
    {"ignore_result": "yes"}, {"stamped_headers": 5}, {"stamps": [1]}, {"replaced_task_nesting": "x"}, {"group_index": "x"},
    {"compression": "application/x-gzip"}, {"compression": "nosuch"}, {"compression": 5},
]  # fmt: skip
_BODIES: list[Any] = [
    {}, [], 7, "text", True, [[], {}], [[], {}, {}, {}], [{}, {}, {}], [[], [], {}], [7, {}, {}], [[], 7, {}], [[], {}, 7],
    ["args", {}, {}], [[], {}, {"callbacks": 5}], [[], {}, {"callbacks": [5]}], [[], {}, {"chord": 5}], [[], {}, {"id": "other"}],
    [[], {}, {"chain": "x"}], [[], {}, {"errbacks": {}}], [[], {"a": {"__type__": "uuid", "__value__": 5}}, {}], [None, None, None],
    {"task": TASK, "id": "first", "args": 5}, {"task": ["x"], "id": "first"}, {"args": [], "kwargs": []},
]  # fmt: skip
_PROPERTIES: list[Any] = [
    *_each(["body_encoding"], ["nosuch", 5, ["base64"], {}]),
    *_each(["priority"], ["high", [1], 1.5, {}]),
    *_each(["correlation_id", "reply_to"], [["x"], {"a": 1}]),
]
_ENVELOPES: list[Any] = [
    *_each(["content-type"], ("text/plain", "application/x-python-serialize", "application/data", "x/y", 5, ["json"], None)),
    *_each(["content-encoding"], (5, ["utf-8"], {})),
    *_each(["body"], (None, "", 5, [], {"a": 1}, "not base64!", "bm90IEpTT04=", "/////w==", "é")),
    {"headers": []}, {"headers": 5}, {"headers": None}, {"headers": {}}, {"properties": 5},
]  # fmt: skip

POISON: list[str | bytes] = [
    *RAW,
    *(message(headers=each) for each in _HEADERS),
    *(message(body=each) for each in _BODIES),
    *(message(properties=each) for each in _PROPERTIES),
    *(message(envelope=each) for each in _ENVELOPES),
    _without("id"),
    _without("task"),
]
#: Odd, and yet a message: what is odd about it is not looked at.
_ODD_PROPERTIES: list[dict[str, Any]] = [
    {"delivery_tag": ["x"]}, {"delivery_tag": None}, {"delivery_tag": "the same"}, {"delivery_tag": "the same"},
    {"delivery_info": None}, {"delivery_info": []}, {"delivery_info": {"exchange": ["x"], "routing_key": {"a": 1}}},
    {"delivery_info": {"exchange": "nosuch", "routing_key": "unacked"}}, {"delivery_mode": "x"}, {"priority": 255},
]  # fmt: skip
_ODD_HEADERS: list[dict[str, Any]] = [
    {"get": 5}, {"update": 5}, {"__class__": "x"}, {"headers": 5}, {"callbacks": 5}, {"args": 5}, {"called_directly": True},
]  # fmt: skip
HARMLESS = [
    *(message(properties=each, body=[[], {"post_id": "harmless"}, {}]) for each in _ODD_PROPERTIES),
    *(message(headers=each, body=[[], {"post_id": "harmless"}, {}]) for each in _ODD_HEADERS),
]
