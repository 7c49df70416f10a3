"""A fix for Celery's group, which registers its members one by one: all are checked before the first is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from celery.canvas import group, signature

#: Options of a group that do not apply to its members.
_GROUP_OPTIONS = ("task_id", "add_to_parent", "producer")

#: Raises if a task cannot be called with these arguments and options.
Check = Callable[[str, Any, Any, dict[str, Any]], None]


def install(check: Check) -> None:
    """Make `group.apply_async` check every member before it registers any.

    Args:
        check: Raises if a task cannot be called with these positional arguments, named arguments and options.

    """
    original: Any = group.apply_async

    @wraps(original)
    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        shared = {name: value for name, value in {**self.options, **options}.items() if name not in _GROUP_OPTIONS}
        for first, rest in _members(self.tasks):
            # As Signature.apply_async does.
            positional, named, given = first._merge(args, kwargs, shared)  # noqa: SLF001 - it has no public name
            check(first.task, positional, named, given | ({"chain": rest} if rest else {}))
        return original(self, args, kwargs, **options)

    group.apply_async = apply_async  # type: ignore[method-assign,assignment]


def _members(tasks: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each call that a group starts at once, with the rest of its chain in reverse order."""
    for task in tasks:
        member: Any = signature(task)
        if member.subtask_type == "group":
            yield from _members(member.tasks)
        elif member.subtask_type == "chain":
            first, *others = member.unchain_tasks() or [None]
            if first is not None and first.subtask_type is None:
                yield first, others[::-1]
        elif member.subtask_type is None:
            yield member, []
