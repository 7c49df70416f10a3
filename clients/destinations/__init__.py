"""Where posts can go. A new destination is one module in this folder and its name in `KNOWN`."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Protocol, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from clients.content import Post

#: Each is a module of this folder with a function `publish`, imported when it is first needed.
KNOWN = ("feed",)


class UnknownDestination(ValueError):
    """Raised when a name is no destination; says which are."""


class Published(BaseModel):
    """What a destination says of a post that is out; `id` is its name at the destination."""

    model_config = ConfigDict(frozen=True)

    published_at: AwareDatetime
    url: str
    id: str


class Publishing(Protocol):
    """What a destination's module offers."""

    def publish(self, post: Post) -> Published:
        """Put the post out, or find it already out, and say where."""


def names() -> tuple[str, ...]:
    """Every destination there is."""
    return KNOWN


def known(name: str) -> str:
    """Return `name` if it is a destination."""
    if name not in KNOWN:
        raise UnknownDestination(f"unknown destination {name[:80]!r}; the destinations are: {', '.join(KNOWN)}")
    return name


def get(name: str) -> Publishing:
    """Return the destination of this name."""
    return cast("Publishing", import_module(f"{__name__}.{known(name)}"))


#: For a task's signature: a text that is the name of a destination.
Destination = Annotated[str, AfterValidator(known)]
