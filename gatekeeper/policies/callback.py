"""A function of the author that is asked about an effect: `verify` of the payload, `undo` of the output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from gatekeeper.errors import PolicyError


class Question:
    """Such a function takes the payload, or the output, first; any other parameter is an argument of the task, by name."""

    def __init__(self, name: str, function: Callable[..., Any], arguments: Sequence[str]) -> None:
        self._function = function
        if (
            inspect.iscoroutinefunction(function)
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise PolicyError(f"{name} is async or a generator, and nobody waits for it; write a plain function")
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise PolicyError(f"{name} takes nothing; its first parameter is what was sent")
        first, *rest = parameters
        if first.kind in {first.KEYWORD_ONLY, first.VAR_KEYWORD}:
            raise PolicyError(f"{name}: its first parameter is what was sent, and cannot be {str(first)!r}")
        if unnamed := [each.name for each in rest if each.kind == each.POSITIONAL_ONLY]:
            raise PolicyError(f"{name}: parameter {unnamed[0]!r} cannot be given by name; take out the slash")
        others = [each for each in rest if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}]
        self._others = [each.name for each in others if each.name in arguments]
        for each in others:
            if each.name not in arguments and each.default is each.empty:
                raise PolicyError(
                    f"{name}: parameter {each.name!r} is no argument of the task; there are: {', '.join(arguments)}"
                )
        hints = get_type_hints(function, include_extras=True) if hasattr(function, "__annotations__") else {}
        self._type: TypeAdapter[Any] = TypeAdapter(hints.get(first.name, Any))

    def ask(self, first: Any, arguments: Mapping[str, Any]) -> Any:
        """Ask about a value of this process."""
        return self._function(first, **{name: arguments[name] for name in self._others})

    def ask_json(self, first: str, arguments: Mapping[str, Any]) -> Any:
        """Ask about a value that is stored as JSON text."""
        return self.ask(self._type.validate_json(first), arguments)
