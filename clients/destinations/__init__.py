"""The destinations that posts can go to.

To add one, write a module in this folder with the functions of `Publishing`, add its name to `KNOWN`, and add the settings
it requires to `NEEDS`. `docs/destinations.md` explains each step.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Protocol, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, WithJsonSchema

import settings
from clients.content import Post

#: The modules of this folder that are destinations; each is imported when it is first used.
KNOWN = ("feed", "mastodon", "threads")

#: The settings that a destination requires, as field names of `Settings`.
NEEDS = {"mastodon": ("mastodon_token",), "threads": ("threads_token",)}


class UnknownDestination(ValueError):
    """Raised when a name is not a destination; the message lists those that are."""


class NotConfigured(ValueError):
    """Raised when a destination lacks a required setting; the message names it."""


class LookupInconclusive(Exception):
    """Raised by a look-up that found neither the post nor proof that it is absent."""


class Published(BaseModel):
    """A published post: when and where, and its `id` at the destination."""

    model_config = ConfigDict(frozen=True)

    published_at: AwareDatetime
    url: str
    id: str


class Publishing(Protocol):
    """The functions that a destination's module must have; both are called inside a task."""

    def publish(self, post: Post) -> Published:
        """Publish a post once, or return it if an earlier attempt published it. Called inside the effect.

        Raises:
            gatekeeper.NotApplied: it is proven that the post was not published. Any other exception leaves the outcome
                unknown.

        """

    def find(self, post: Post) -> Published | None:
        """Look up whether an earlier attempt published a post.

        Returns:
            The published post, or None as proof that it is not there.

        Raises:
            LookupInconclusive: there is no proof either way. So is any other exception, such as the provider's error.

        """


def known(name: str) -> str:
    """Return `name` if it is a destination; raises UnknownDestination otherwise."""
    if name not in KNOWN:
        raise UnknownDestination(f"unknown destination {name[:80]!r}; the destinations are: {', '.join(KNOWN)}")
    return name


def check(name: str) -> None:
    """Check that a destination can be used.

    Raises:
        UnknownDestination: there is no destination of this name.
        NotConfigured: a setting in NEEDS is missing.

    """
    config = settings.current()
    missing = [setting.upper() for setting in NEEDS.get(known(name), ()) if not getattr(config, setting)]
    if missing:
        raise NotConfigured(f"the destination {name} needs {', '.join(missing)}; set it in .env and restart")


def check_all() -> None:
    """Check every destination in PUBLISH_TO; raises like `check`."""
    for name in settings.current().publish_to:
        check(name)


def account(name: str) -> str:
    """Ask a destination whose the token is; publishes nothing.

    Returns:
        The account, or an empty text for a destination without the function `account`.

    Raises:
        gatekeeper.NotApplied: the destination does not answer as it should; `gatekeeper.run.prospects` says what to change.

    """
    function = getattr(get(name), "account", None)
    return str(function()) if function else ""


def get(name: str) -> Publishing:
    """Return the module of a destination; raises UnknownDestination."""
    return cast("Publishing", import_module(f"{__name__}.{known(name)}"))


#: The type of a task's argument that is the name of a destination.
Destination = Annotated[str, AfterValidator(known), WithJsonSchema({"type": "string", "enum": list(KNOWN)})]
