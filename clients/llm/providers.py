"""The providers of models, best first. Each speaks the chat-completions form of OpenAI."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import settings
from gatekeeper.policies.durations import duration_ms, parse_rate
from state.limits import ProviderLimits

#: Failures in a row, and how long nobody asks then. A short outage costs three questions, a long one a probe each two minutes.
BREAKER_AFTER, BREAKER_COOLDOWN = 3, "2m"
#: Seconds after HTTP_TIMEOUT in which a probe still may report.
GRACE = 10


@dataclass(frozen=True)
class Provider:
    """One provider with its model.

    `rate` is our own: so many at once, then evenly. `json_mode` says that it understands `response_format`.
    """

    name: str
    url: str
    api_key: str = field(repr=False)
    model: str
    rate: str
    max_tokens: int
    json_mode: bool

    @property
    def by(self) -> str:
        return f"{self.name}/{self.model}"

    @property
    def endpoint(self) -> str:
        """Where to POST: the URL as it is if it leads to chat completions already."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        whole = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
        return urlunsplit(parts._replace(path=whole, fragment=""))

    @property
    def identity(self) -> str:
        """Under which all processes share what they know of it; with another key or URL it is another, without a past."""
        settled = f"{self.endpoint}\n{self.model}\n{self.api_key}"
        return f"{self.name}-{hashlib.sha256(settled.encode(errors='replace')).hexdigest()[:8]}"

    @property
    def limits(self) -> ProviderLimits:
        burst, period_ms = parse_rate(self.rate)
        probe_ms = round((settings.current().http_timeout + GRACE) * 1000)
        return ProviderLimits(burst, period_ms / burst, BREAKER_AFTER, duration_ms(BREAKER_COOLDOWN), probe_ms)


def configured() -> list[Provider]:
    """Those that have an API key."""
    config = settings.current()
    providers = [
        # In no minute more than twice its rate: within the 30 a minute that Groq gives to everybody.
        Provider("groq", config.groq_url, config.groq_api_key, config.groq_model, "15/minute", 2048, json_mode=True),
        # Its models think aloud first, and that counts as tokens; it documents no `response_format`.
        Provider(
            "minimax",
            config.minimax_url,
            config.minimax_api_key,
            config.minimax_model,
            "30/minute",
            8192,
            json_mode=False,
        ),
    ]
    return [provider for provider in providers if provider.api_key]
