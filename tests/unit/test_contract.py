"""The signature is the contract: arguments that fit it pass, and all others are refused with a clear message."""

from __future__ import annotations

import enum
import json
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from gatekeeper.errors import InvalidArguments, InvalidOutput
from gatekeeper.policies.contract import MAX_ARGUMENTS, Contract
from gatekeeper.policies.spec import fingerprint


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Author(BaseModel):
    name: str
    born: date | None = None


class Post(BaseModel):
    title: str
    authors: list[Author] = []


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


def contract(body: Callable[..., Any]) -> Contract:
    return Contract("tasks.poster.post", body)


def through_json(body: Callable[..., Any], **kwargs: Any) -> dict[str, Any]:
    """Return arguments as the worker gets them: bound by the caller, sent as JSON, bound again."""
    made = contract(body)
    sent = json.loads(made.as_json(made.bind((), kwargs)))
    return made.bind((), sent)


# Names


def post(post_id: str, destination: str = "feed", *, urgent: bool = False) -> str:
    return f"{post_id}{destination}{urgent}"


def test_defaults_are_filled_in_so_that_two_spellings_are_one_call() -> None:
    made = contract(post)

    spellings: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {"post_id": "a"}),
        (("a",), {}),
        (("a", "feed"), {}),
        ((), {"urgent": False, "destination": "feed", "post_id": "a"}),
    ]

    texts = {made.as_json(made.bind(args, kwargs)) for args, kwargs in spellings}
    assert texts == {'{"destination":"feed","post_id":"a","urgent":false}'}


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "missing a required argument: 'post_id'"),
        ((), {"post": "a"}, "missing a required argument: 'post_id'"),
        ((), {"post_id": "a", "destnation": "feed"}, "unexpected keyword argument 'destnation'"),
        (("a",), {"post_id": "b"}, "multiple values for argument 'post_id'"),
        (("a", "feed", True), {}, "too many positional arguments"),
        ((), {"post_id": "a", "args": 1}, "unexpected keyword argument 'args'"),
    ],
)
def test_wrong_names_are_refused_with_the_signature(args: tuple[Any, ...], kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArguments, match=says) as refusal:
        contract(post).bind(args, kwargs)

    assert "tasks.poster.post" in str(refusal.value)
    assert "it takes: post_id" in str(refusal.value)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"post_id": 7},
        {"post_id": None},
        {"post_id": "a", "destination": ["feed"]},
        {"post_id": "a", "urgent": "perhaps"},
    ],
)
def test_wrong_types_are_refused_by_name_without_repeating_the_value(kwargs: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments) as refusal:
        contract(post).bind((), kwargs)

    assert list(kwargs)[-1] in str(refusal.value)
    assert "perhaps" not in str(refusal.value)


def test_every_wrong_argument_is_named() -> None:
    def body(a: int, b: int, c: int) -> None: ...

    with pytest.raises(InvalidArguments, match=r"a: .*; c: ") as refusal:
        contract(body).bind((), {"a": "one", "b": 2, "c": "three"})
    assert "b: " not in str(refusal.value).partition("; it takes")[0]


#: Names that the models of some libraries reserve.
RESERVED = ("copy", "json", "schema", "dict", "validate", "construct", "model_config", "model_fields", "cls", "args", "kwargs",
            "items", "keys", "values", "key", "name", "id", "type", "call", "task", "_private", "task_id", "countdown", "headers")  # fmt: skip


@pytest.mark.parametrize("name", RESERVED)
def test_any_name_can_be_an_argument(name: str) -> None:
    source = f"def body({name}: str, other: int = 1) -> str: ..."
    made: dict[str, Any] = {}
    exec(source, made)  # the name is the parameter of this test

    assert through_json(made["body"], **{name: "value"}) == {name: "value", "other": 1}
    with pytest.raises(InvalidArguments):
        contract(made["body"]).bind((), {name: 5})


# Types


def rich(
    colour: Colour,
    when: AwareDatetime,
    author: Author,
    point: Point,
    amount: Decimal,
    number: uuid.UUID,
    *,
    size: Literal["small", "large"] = "small",
    limit: Annotated[int, Field(gt=0)] = 5,
    note: str | None = None,
    posts: dict[str, list[Post]] | None = None,
) -> None: ...


RICH: dict[str, Any] = {
    "colour": "red",
    "when": "2026-11-22T06:00:00+01:00",
    "author": {"name": "ada", "born": "1815-12-10"},
    "point": {"x": 1},
    "amount": "1.50",
    "number": "00000000-0000-0000-0000-000000000001",
    "posts": {"may": [{"title": "t", "authors": [{"name": "ada"}]}]},
}


def test_what_comes_as_json_arrives_in_the_annotated_types() -> None:
    bound = through_json(rich, **RICH)

    assert bound["colour"] is Colour.RED
    assert bound["when"] == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert bound["author"] == Author(name="ada", born=date(1815, 12, 10))
    assert bound["point"] == Point(1, 0, [])
    assert bound["amount"] == Decimal("1.50")
    assert bound["number"] == uuid.UUID(int=1)
    assert bound["posts"] == {"may": [Post(title="t", authors=[Author(name="ada")])]}
    assert (bound["size"], bound["limit"], bound["note"]) == ("small", 5, None)


def test_python_values_and_their_json_are_the_same_call() -> None:
    made = contract(rich)
    in_python = {**RICH, "colour": Colour.RED, "author": Author(name="ada", born=date(1815, 12, 10)), "point": Point(1)}

    texts = {made.as_json(made.bind((), given)) for given in (RICH, in_python)}

    assert len(texts) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "green"}, "colour: "),
        ({"when": "2026-11-22T06:00:00"}, "when: .*timezone"),
        ({"author": {"nom": "ada"}}, r"author\.name: "),
        ({"point": {"x": "far"}}, r"point\.x: "),
        ({"amount": "much"}, "amount: "),
        ({"number": 1}, "number: "),
        ({"size": "medium"}, "size: "),
        ({"limit": 0}, "limit: .*greater than 0"),
        ({"posts": {"may": [{"title": 3}]}}, r"posts\.may\.0\.title: "),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArguments, match=says):
        contract(rich).bind((), {**RICH, **change})


def test_one_call_cannot_change_the_default_of_the_next() -> None:
    def body(tags: list[str] = []) -> None: ...  # noqa: B006 - the test needs it

    first = contract(body).bind((), {})
    first["tags"].append("mine")

    assert contract(body).bind((), {}) == {"tags": []}


def test_a_text_that_is_no_unicode_is_refused_at_the_door() -> None:
    made = contract(post)

    with pytest.raises(InvalidArguments, match="half a character"):
        made.as_json(made.bind((), json.loads('{"post_id": "\\ud800"}')))


def test_arguments_of_a_novel_are_refused_with_the_bound() -> None:
    made = contract(post)

    with pytest.raises(InvalidArguments, match=f"at most {MAX_ARGUMENTS}"):
        made.as_json(made.bind(("x" * MAX_ARGUMENTS,), {}))


def free(value: Any) -> None: ...


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(anything)
def test_any_json_comes_through_and_keeps_its_fingerprint(value: Any) -> None:
    made = contract(free)
    text = made.as_json(made.bind((), {"value": value}))

    again = made.as_json(made.bind((), json.loads(text)))

    assert again == text
    assert fingerprint(again) == fingerprint(text)


def test_the_order_of_names_is_no_difference() -> None:
    made = contract(free)

    one, other = (made.as_json(made.bind((), {"value": value})) for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))

    assert one == other


# The result


@pytest.mark.parametrize(
    ("annotation", "output", "text"),
    [
        (str, "ok", '"ok"'),
        (int | None, None, "null"),
        (list[Author], [{"name": "ada"}], '[{"name":"ada","born":null}]'),
        (Point, Point(1, 2), '{"x":1,"y":2,"tags":[]}'),
        (Colour, Colour.RED, '"red"'),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), '"2026-01-01T00:00:00Z"'),
        (None, None, "null"),
        (dict[str, Any], {"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_a_result_that_fits_becomes_json(annotation: Any, output: Any, text: str) -> None:
    def body() -> None: ...

    body.__annotations__["return"] = annotation

    assert contract(body).check_output(output) == text


def test_without_an_annotation_any_json_is_a_result() -> None:
    def body():  # type: ignore[no-untyped-def]  # noqa: ANN202
        ...

    assert json.loads(contract(body).check_output({"when": date(2026, 1, 1)})) == {"when": "2026-01-01"}


@pytest.mark.parametrize(
    ("annotation", "output"),
    [
        (int, "seven"),
        (Author, {"nom": "ada"}),
        (None, "something"),
        (Any, object()),
        (Any, "\ud800"),
        (str, b"\xff"),
        (str, "\ud800"),
    ],
)
def test_a_result_that_does_not_fit_is_told_apart(annotation: Any, output: Any) -> None:
    def body() -> None: ...

    body.__annotations__["return"] = annotation

    with pytest.raises(InvalidOutput, match=r"tasks\.poster\.post returned what its annotation rules out"):
        contract(body).check_output(output)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_result_is_always_valid_json(number: float) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    def body() -> dict[str, float]: ...  # type: ignore[empty-body]

    try:
        text = contract(body).check_output({"number": number})
    except InvalidOutput:
        return
    json.loads(text, parse_constant=refuse)


def test_an_object_of_the_names_that_celery_reserves_is_refused() -> None:
    def body(data: dict[str, Any]) -> None: ...

    contract = Contract("t", body)
    kept = {"data": {"__type__": "t", "__value__": 1, "more": 2}}

    assert contract.as_json(contract.bind((), kept))
    with pytest.raises(InvalidArguments, match="__type__ and __value__"):
        contract.as_json(contract.bind((), {"data": {"a": [{"__type__": "datetime", "__value__": "2026-01-01"}]}}))


@pytest.mark.parametrize("kwargs", [[1], "n", 7, None])
def test_named_arguments_that_have_no_names_are_refused(kwargs: Any) -> None:
    def takes(n: int) -> int:
        return n

    with pytest.raises(InvalidArguments, match=r"takes: .*it takes: n"):
        Contract("takes", takes).bind((), kwargs)
