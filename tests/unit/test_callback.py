"""The callbacks of an effect: how they are called, and which functions are refused at import."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gatekeeper import Effect, PolicyError
from gatekeeper.policies.callback import Callback
from gatekeeper.policies.policy import Policies
from gatekeeper.policies.spec import TaskSpec


class Post(BaseModel):
    id: str
    text: str = ""


ARGUMENTS = ("post_id", "destination")
GIVEN = {"post_id": "hello", "destination": "feed"}


def a_callback(function: Any) -> Callback:
    return Callback("tasks.poster.post: Effect(verify=…)", function, ARGUMENTS)


def test_the_payload_comes_first_and_arguments_of_the_task_by_their_names() -> None:
    def find(post: Post, destination: str) -> tuple[Post, str]:
        return post, destination

    assert a_callback(find).call_json('{"id": "hello", "text": "hi"}', GIVEN) == (Post(id="hello", text="hi"), "feed")


def test_the_order_and_the_name_of_the_first_parameter_are_free() -> None:
    def find(what: Post, *, destination: str, post_id: str) -> tuple[str, str, str]:
        return what.id, destination, post_id

    assert a_callback(find).call_json('{"id": "x"}', GIVEN) == ("x", "feed", "hello")


def test_a_first_parameter_named_as_an_argument_is_the_payload_all_the_same() -> None:
    def find(post_id: dict[str, Any]) -> Any:
        return post_id

    assert a_callback(find).call_json('{"id": "x"}', GIVEN) == {"id": "x"}


def test_without_an_annotation_the_payload_comes_as_plain_json() -> None:
    def find(post):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - an author may leave the annotation out
        return post

    assert a_callback(find).call_json('{"id": "x", "n": [1]}', GIVEN) == {"id": "x", "n": [1]}
    assert a_callback(lambda post: post).call_json("1", GIVEN) == 1


def test_a_parameter_with_a_default_of_its_own_may_be_anything() -> None:
    def find(post: Any, within: int = 3, destination: str = "?") -> tuple[int, str]:
        return within, destination

    assert a_callback(find).call({}, GIVEN) == (3, "feed")


def test_what_takes_anything_gets_the_payload_alone() -> None:
    def find(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    assert a_callback(find).call("payload", GIVEN) == (("payload",), {})


def test_a_method_and_an_object_that_can_be_called_may_answer_too() -> None:
    class Provider:
        def find(self, post: Post, destination: str) -> str:
            return f"{post.id} at {destination}"

        def __call__(self, post: Any) -> str:
            return f"called with {post}"

    assert a_callback(Provider().find).call_json('{"id": "x"}', GIVEN) == "x at feed"
    assert a_callback(Provider()).call_json("1", GIVEN) == "called with 1"


def test_a_payload_of_an_older_shape_is_an_error_and_no_answer() -> None:
    def find(post: Post) -> Any:
        return post

    with pytest.raises(ValidationError):
        a_callback(find).call_json('{"name": "x"}', GIVEN)


def test_undo_gets_the_output_as_it_is() -> None:
    output = object()

    assert a_callback(lambda output: output).call(output, GIVEN) is output


# Refused at import


def test_a_parameter_that_is_no_argument_of_the_task_is_refused_with_those_there_are() -> None:
    def find(post: Post, place: str) -> None: ...

    with pytest.raises(PolicyError, match=r"Effect\(verify=…\): parameter 'place'.*there are: post_id, destination"):
        a_callback(find)


def test_a_function_that_takes_nothing_is_refused() -> None:
    def find() -> None: ...

    with pytest.raises(PolicyError, match="takes no parameter; its first parameter is what was sent"):
        a_callback(find)


def test_a_function_whose_parameters_cannot_be_given_is_refused() -> None:
    """Without this, each look-up would fail, and only once an effect is in doubt."""

    def only_by_name(*, post: Post) -> None: ...

    def only_in_order(post: Post, destination: str, /) -> None: ...

    def only_named(**kwargs: Any) -> None: ...

    for function in (only_by_name, only_in_order, only_named):
        with pytest.raises(PolicyError):
            a_callback(function)


def test_a_function_that_nobody_waits_for_is_refused() -> None:
    """A coroutine is not None, so every effect in doubt would count as done."""

    async def find(post: Post) -> None: ...

    def finds(post: Post) -> Iterator[None]:
        yield None

    async def finds_later(post: Post) -> AsyncIterator[None]:
        yield None

    for function in (find, finds, finds_later):
        with pytest.raises(PolicyError, match="async or a generator"):
            a_callback(function)


def body(post_id: str, destination: str) -> str:
    return f"{post_id} {destination}"


body.__module__, body.__name__ = "tasks.asker", "post"


@pytest.mark.parametrize("name", ["verify", "undo"])
def test_the_gate_checks_both_when_the_task_is_imported(name: str) -> None:
    effect = Effect(**{name: lambda post, place: None})  # type: ignore[arg-type]  # verify or undo

    with pytest.raises(PolicyError, match=rf"tasks.asker.post: Effect\({name}=…\): parameter 'place'"):
        TaskSpec(body, Policies("post:{post_id}", (), (), None, effect, "2m", None, None, "10s", "7d"))
