"""The signature is the contract: arguments and result are checked against the task's annotations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from gatekeeper.errors import InvalidArguments, InvalidOutput, PolicyError
from gatekeeper.policies import json_values
from gatekeeper.policies.callback import is_async_or_generator

#: Arguments are identities and small facts; a text of this size belongs in a file.
MAX_ARGUMENTS = 256 * 1024


class Contract:
    """The arguments that one task takes and the result that it returns."""

    def __init__(self, name: str, body: Callable[..., Any]) -> None:
        """Read the signature and annotations of `body`.

        Args:
            name: What error messages call the task.
            body: The author's function.

        Raises:
            PolicyError: the function, an argument or an annotation cannot be part of a contract.

        """
        self.name = name
        if is_async_or_generator(body):
            raise PolicyError(f"{name} is async or a generator, which a worker cannot await; write a plain function")
        self.signature = inspect.signature(body)
        hints = _hints(name, body)
        for parameter in self.signature.parameters.values():
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
                raise PolicyError(f"{name}: {parameter} cannot be part of a contract; name every argument")
            if parameter.name == "self":
                raise PolicyError(f"{name}: a call cannot name an argument 'self'; give it another name")
            if parameter.name not in hints:
                raise PolicyError(f"{name}: argument {parameter.name!r} has no annotation; write what it must be")
        self.parameters = tuple(self.signature.parameters)
        self._names = frozenset(self.parameters)
        self._arguments = _adapter(name, "an argument", _shape(name, self.signature, hints))
        _check_identity(name, self._arguments)
        self._output = _adapter(name, "the result", hints.get("return", Any))

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return positional and named arguments as one validated dict, with the defaults filled in.

        Raises:
            InvalidArguments: the arguments do not fit the signature or its annotations.

        """
        if isinstance(args, str | bytes | Mapping):
            raise InvalidArguments(f"{self.name}: positional arguments are a list, not {type(args).__name__}")
        # A registered call has all of them by name: there is nothing to place and no default to fill in.
        if not args and isinstance(kwargs, Mapping) and kwargs.keys() == self._names:
            return self.check(kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self.name}: {error}; {self._usage}") from None
        bound.apply_defaults()
        return self.check(bound.arguments)

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Validate named arguments; raise InvalidArguments that names each wrong one."""
        try:
            return dict(self._arguments.validate_python(arguments))
        except ValidationError as error:
            raise self._invalid(error) from None

    def check_json(self, text: str) -> None:
        """Validate named arguments in JSON by `schema`: a number in quotation marks is a text.

        Raises:
            InvalidArguments: An argument is wrong; names each of them.

        """
        try:
            self._arguments.validate_json(text, strict=True)
        except ValidationError as error:
            raise self._invalid(error) from None

    def _invalid(self, error: ValidationError) -> InvalidArguments:
        fields = _problems_by_field(error)
        return InvalidArguments(f"{self.name}: {_problems(error)}; {self._usage}", fields=fields)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, as a sender of JSON has to write them."""
        return self._arguments.json_schema()

    @property
    def _usage(self) -> str:
        return f"it takes: {', '.join(self.parameters) or 'nothing'}"

    def as_json(self, arguments: dict[str, Any]) -> str:
        """Return validated arguments as JSON text; equal arguments give equal texts.

        Raises:
            InvalidArguments: JSON cannot hold them without a change, or they are too long.

        """
        if not arguments:
            return "{}"
        try:
            text = _dump(self._arguments, arguments, in_message=True)
        except json_values.NotJson as error:
            raise InvalidArguments(f"{self.name}: an argument {error}") from None
        if json_values.changes_in_json(arguments) and not self._reads_back(text, arguments):
            raise InvalidArguments(
                f"{self.name}: an argument holds bytes, a set, or a dict key that is not a text, and its annotation does "
                f"not say so; send texts and lists, or write an annotation such as dict[int, str]"
            )
        if len(text) > MAX_ARGUMENTS:
            raise InvalidArguments(f"{self.name}: arguments of {len(text)} characters; at most {MAX_ARGUMENTS}")
        return text

    def _reads_back(self, text: str, arguments: dict[str, Any]) -> bool:
        """Return whether the worker will read the caller's arguments from this JSON text."""
        try:
            return self.check(json.loads(text)) == arguments
        except InvalidArguments:
            return False

    def check_output(self, output: Any) -> str:
        """Return the result of the task as JSON text.

        Raises:
            InvalidOutput: the result does not fit its annotation.

        """
        try:
            return _dump(self._output, self._output.validate_python(output))
        except json_values.NotJson as error:
            problem = f"it {error}"
        except ValidationError as error:
            problem = _problems(error)
        except (RecursionError, ValueError) as error:
            problem = f"it {_json_problem(error)}"
        raise InvalidOutput(f"{self.name} returned what its annotation rules out: {problem}")


def _dump(adapter: TypeAdapter[Any], value: Any, *, in_message: bool = False) -> str:
    """Return a validated value as JSON text; with `in_message`, as a text that is read back as the same value.

    Raises:
        NotJson: JSON cannot hold the value.

    """
    try:
        plain = adapter.dump_python(value, mode="json", by_alias=in_message, round_trip=in_message)
        text = json_values.dumps(plain, in_message=in_message)
        if "null" in text and json_values.has_non_finite(adapter.dump_python(value)):
            raise json_values.NotJson(json_values.NOT_FINITE)  # pydantic writes NaN and infinities as null
    except json_values.NotJson:
        raise
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise json_values.NotJson(_json_problem(error)) from None
    return text


def _json_problem(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, RecursionError) or "Circular reference" in message or "depth exceeded" in message:
        return json_values.TOO_DEEP
    if "surrogates not allowed" in message:
        return json_values.NOT_UNICODE
    if "can't decode byte" in message:
        return "holds bytes that are not UTF-8; use a text"
    return f"cannot be written as JSON: {message}"


def _hints(name: str, body: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(body, include_extras=True)
    except NameError as error:
        raise PolicyError(
            f"{name}: an annotation cannot be read: {error}; import that name at the module's top"
        ) from None
    except (SyntaxError, TypeError, AttributeError) as error:
        raise PolicyError(
            f"{name}: an annotation cannot be read: {error}; write a type such as str or list[int]"
        ) from None


def _adapter(name: str, what: str, shape: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(shape)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        message = str(error).partition("\n")[0].partition(". Set `")[0]
        raise PolicyError(
            f"{name}: {what} cannot be checked: {message}; write a type such as str, list[int] or a pydantic model"
        ) from None


def _shape(name: str, signature: inspect.Signature, hints: dict[str, Any]) -> Any:
    """Return a TypedDict of the parameters; one with a default may be missing."""
    fields = {
        parameter.name: hints[parameter.name]
        if parameter.default is parameter.empty
        else NotRequired[hints[parameter.name]]
        for parameter in signature.parameters.values()
    }
    make_typed_dict: Any = TypedDict
    shape = make_typed_dict(f"Arguments of {name}", fields)
    return with_config(ConfigDict(extra="forbid"))(shape)


def has_secret(schema: dict[str, Any]) -> bool:
    """Return whether a JSON schema contains a secret, which pydantic writes as asterisks."""
    return _has(schema, "format", "password")


def _has(schema: Any, keyword: str, value: Any) -> bool:
    """Return whether a JSON schema, or one inside it, has this value for the keyword."""
    if isinstance(schema, list):
        return any(_has(one, keyword, value) for one in schema)
    if not isinstance(schema, dict):
        return False
    return schema.get(keyword) == value or any(_has(one, keyword, value) for one in schema.values())


def _check_identity(name: str, arguments: TypeAdapter[Any]) -> None:
    """Raise PolicyError for an argument that JSON cannot hold, that has no stable spelling, or that is a secret."""
    try:
        schema = arguments.json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise PolicyError(f"{name}: an argument cannot be written as JSON: {error}") from None
    if _has(schema, "uniqueItems", True):
        raise PolicyError(f"{name}: a set has no order, so the same call would look different each time; write list[…]")
    if has_secret(schema):
        raise PolicyError(
            f"{name}: a secret cannot be an argument, because it would be stored with the call; read it from the settings"
        )


def _problems(error: ValidationError) -> str:
    """Return what is wrong, argument by argument, without repeating the values."""
    return "; ".join(f"{field or 'the value'}: {problem}" for field, problem in _problem_list(error))


def _problems_by_field(error: ValidationError) -> dict[str, str]:
    """Return what is wrong, by argument; of several problems of one argument the first."""
    return dict(reversed(_problem_list(error)))


def _problem_list(error: ValidationError) -> list[tuple[str, str]]:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return [(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")) for each in problems]
