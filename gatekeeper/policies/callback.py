"""The author's functions `verify`, `undo` and `then`, called with the payload or the output of an effect."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from gatekeeper.errors import PolicyError


def is_async_or_generator(function: Callable[..., Any]) -> bool:
    """Return whether a call of `function` only creates a coroutine or a generator."""
    checks = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(check(function) for check in checks)


class Callback:
    """A function whose first parameter takes the payload or the output; the others take arguments of the task by name."""

    def __init__(self, name: str, function: Callable[..., Any], arguments: Sequence[str]) -> None:
        """Check the signature.

        Args:
            name: What error messages call the function.
            function: The author's function.
            arguments: The names of the task's arguments.

        Raises:
            PolicyError: the function cannot be called this way.

        """
        if is_async_or_generator(function):
            raise PolicyError(f"{name} is async or a generator, which the gate cannot await; write a plain function")
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise PolicyError(f"{name} takes no parameter; its first parameter is what was sent")
        first, *rest = parameters
        if first.kind in {first.KEYWORD_ONLY, first.VAR_KEYWORD}:
            raise PolicyError(f"{name}: its first parameter is what was sent, and cannot be {str(first)!r}")
        self._function = function
        self._others = _task_arguments(name, rest, arguments)
        hints = get_type_hints(function, include_extras=True) if hasattr(function, "__annotations__") else {}
        self._type: TypeAdapter[Any] = TypeAdapter(hints.get(first.name, Any))

    def call(self, first: Any, arguments: Mapping[str, Any]) -> Any:
        """Call the function.

        Args:
            first: The payload or the output, as an object of this process.
            arguments: The arguments of the task's call.

        """
        return self._function(first, **{name: arguments[name] for name in self._others})

    def call_json(self, first: str, arguments: Mapping[str, Any]) -> Any:
        """Call the function with a payload that is stored as JSON text, validated against the parameter's annotation."""
        return self.call(self._type.validate_json(first), arguments)


def _task_arguments(name: str, parameters: list[inspect.Parameter], arguments: Sequence[str]) -> list[str]:
    """Return the names of the parameters that take an argument of the task; raise PolicyError for any other."""
    if unnamed := [each.name for each in parameters if each.kind == each.POSITIONAL_ONLY]:
        raise PolicyError(f"{name}: parameter {unnamed[0]!r} cannot be given by name; remove the slash")
    named = [each for each in parameters if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}]
    for each in named:
        if each.name not in arguments and each.default is each.empty:
            raise PolicyError(
                f"{name}: parameter {each.name!r} is not an argument of the task; there are: {', '.join(arguments)}"
            )
    return [each.name for each in named if each.name in arguments]
