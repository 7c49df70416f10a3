"""One alert channel. Logs, keys and commands name it by its place and its service, because its address is a secret."""

from __future__ import annotations

from dataclasses import dataclass, field

import settings


@dataclass(frozen=True)
class AlertChannel:
    """A channel of ALERT_URLS, or of ALERT_URLS_URGENT; `place` counts from 1."""

    place: int
    url: str = field(repr=False)
    is_urgent: bool = False

    @property
    def service(self) -> str:
        return self.url.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """The name in keys, such as `1-json` or `urgent-1-json`."""
        return f"{'urgent-' if self.is_urgent else ''}{self.place}-{self.service}"

    def __str__(self) -> str:
        return f"{'urgent' if self.is_urgent else 'alert'} channel {self.place} ({self.service})"


def ordinary() -> list[AlertChannel]:
    """Return the channels of ALERT_URLS."""
    return [AlertChannel(place, url) for place, url in enumerate(settings.current().alert_urls, 1)]


def urgent() -> list[AlertChannel]:
    """Return the channels of ALERT_URLS_URGENT."""
    return [
        AlertChannel(place, url, is_urgent=True) for place, url in enumerate(settings.current().alert_urls_urgent, 1)
    ]


def find(name: str) -> AlertChannel | None:
    """Return the channel of this name, or None if the settings have it no more."""
    return next((each for each in (*ordinary(), *urgent()) if each.name == name), None)
