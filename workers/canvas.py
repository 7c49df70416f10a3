"""Celery's group registers its members one by one; here all of them are checked before the first is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from celery.canvas import group, signature

#: Options of a group that are not those of its members.
_OF_THE_GROUP = ("task_id", "add_to_parent", "producer")

#: Raises if a task cannot be called with these arguments and options.
Check = Callable[[str, Any, Any, dict[str, Any]], None]


def install(check: Check) -> None:
    """Let a group raise before anything is registered, or not at all."""
    original: Any = group.apply_async

    @wraps(original)
    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        said = {name: value for name, value in {**self.options, **options}.items() if name not in _OF_THE_GROUP}
        for first, rest in _members(self.tasks):
            check(first.task, *_merged(first, args, kwargs, said, rest))
        return original(self, args, kwargs, **options)

    group.apply_async = apply_async  # type: ignore[method-assign,assignment]


def _members(tasks: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each call that a group starts at once, with what follows it, the next one last."""
    for task in tasks:
        one: Any = signature(task)
        if one.subtask_type == "group":
            yield from _members(one.tasks)
        elif one.subtask_type == "chain":
            first, *others = one.unchain_tasks() or [None]
            if first is not None and first.subtask_type is None:
                yield first, others[::-1]
        elif one.subtask_type is None:
            yield one, []


def _merged(one: Any, args: Any, kwargs: Any, said: dict[str, Any], rest: list[Any]) -> tuple[Any, Any, dict[str, Any]]:
    positional, named, options = one._merge(args, kwargs, said)  # noqa: SLF001 - what Signature.apply_async does
    return positional, named, {**options, **({"chain": rest} if rest else {})}
