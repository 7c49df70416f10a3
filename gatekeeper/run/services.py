"""The services that the settings name: which one an address belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import settings

#: An address that belongs to no service of the settings, such as a feed or a monitored site.
OTHER = "other"
#: Addresses of the settings that are not those of a service.
_OWN = frozenset({"redis_url", "broker_url", "broker_api_url", "smtp_url"})
_END = "_url"


def of_url(url: str) -> str:
    """Return the service that a URL belongs to, by the beginning of its setting's name, such as `mastodon`; or OTHER."""
    return next((name for name, base in _addresses() if url.startswith(base)), OTHER)


def _addresses() -> Iterator[tuple[str, str]]:
    chosen = settings.current()
    for field in fields(chosen):
        address = getattr(chosen, field.name) if field.name.endswith(_END) and field.name not in _OWN else ""
        if address and isinstance(address, str):
            yield field.name.removesuffix(_END), address
