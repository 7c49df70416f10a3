"""Where posts can go. A new destination is one module in this folder, its name in `KNOWN`, and what it needs in `NEEDS`."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Protocol, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

import settings
from clients.content import Post

#: Each is a module of this folder with the functions of `Publishing`, imported when it is first needed.
KNOWN = ("feed", "mastodon", "threads")

#: The settings without which a destination cannot work: names of fields of `Settings`, in lower case.
NEEDS = {"mastodon": ("mastodon_token",), "threads": ("threads_token",)}


class UnknownDestination(ValueError):
    """Raised when a name is no destination; says which are."""


class NotConfigured(ValueError):
    """Raised when a destination lacks a setting; says which."""


class LookupInconclusive(Exception):
    """Raised by a look-up that saw neither the post nor proof of its absence."""


class Published(BaseModel):
    """What a destination says of a post that is out; `id` is its name at the destination."""

    model_config = ConfigDict(frozen=True)

    published_at: AwareDatetime
    url: str
    id: str


class Publishing(Protocol):
    """What a destination's module offers; both are called inside a task."""

    def publish(self, post: Post) -> Published:
        """Put the post out once, or find it already out, and say where; called behind the line.

        Raises `gatekeeper.NotApplied` where it is proven that the post is not out; any other exception proves nothing.
        """

    def find(self, post: Post) -> Published | None:
        """Look whether an earlier attempt put the post out; None is proof that nothing is there now.

        Raises where the look-up cannot be trusted: an error of the provider, or LookupInconclusive.
        """


def names() -> tuple[str, ...]:
    """Every destination there is."""
    return KNOWN


def known(name: str) -> str:
    """Return `name` if it is a destination."""
    if name not in KNOWN:
        raise UnknownDestination(f"unknown destination {name[:80]!r}; the destinations are: {', '.join(KNOWN)}")
    return name


def check(name: str) -> None:
    """Raise UnknownDestination or NotConfigured if nothing can be published there."""
    config = settings.current()
    missing = [setting.upper() for setting in NEEDS.get(known(name), ()) if not getattr(config, setting)]
    if missing:
        raise NotConfigured(f"the destination {name} needs {', '.join(missing)}; set it in .env and restart")


def get(name: str) -> Publishing:
    """Return the destination of this name."""
    return cast("Publishing", import_module(f"{__name__}.{known(name)}"))


#: For a task's signature: a text that is the name of a destination.
Destination = Annotated[str, AfterValidator(known)]
