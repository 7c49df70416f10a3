"""The providers of language models, best first. Each speaks OpenAI's chat-completions protocol."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import settings
from gatekeeper.policies.durations import duration_ms, parse_rate
from state.limits import ProviderLimits

#: Failures in a row that open the breaker, and how long it stays open before one probe.
BREAKER_AFTER, BREAKER_COOLDOWN = 3, "2m"
#: Seconds after HTTP_TIMEOUT within which a probe may still report.
GRACE = 10


@dataclass(frozen=True)
class Provider:
    """One provider with its model.

    Attributes:
        name: The provider; also the prefix of its settings.
        url: Its base URL, or the URL of its chat completions.
        api_key: Its API key.
        model: The model to ask.
        rate: Our own limit, such as `15/minute`: a burst of that many, then evenly spaced.
        max_tokens: The longest reply.
        json_mode: Whether it supports `response_format`.

    """

    name: str
    url: str
    api_key: str = field(repr=False)
    model: str
    rate: str
    max_tokens: int
    json_mode: bool = False

    @property
    def by(self) -> str:
        return f"{self.name}/{self.model}"

    @property
    def endpoint(self) -> str:
        """The URL to POST to; a URL that ends in `/chat/completions` is used as it is."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        whole = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
        return urlunsplit(parts._replace(path=whole, fragment=""))

    @property
    def identity(self) -> str:
        """The name of its shared record; it changes with the URL, the model and the key, so a change starts afresh."""
        settled = f"{self.endpoint}\n{self.model}\n{self.api_key}"
        return f"{self.name}-{hashlib.sha256(settled.encode(errors='replace')).hexdigest()[:8]}"

    @property
    def limits(self) -> ProviderLimits:
        burst, period_ms = parse_rate(self.rate)
        probe_ms = round((settings.current().http_timeout + GRACE) * 1000)
        return ProviderLimits(burst, period_ms / burst, BREAKER_AFTER, duration_ms(BREAKER_COOLDOWN), probe_ms)


def configured() -> list[Provider]:
    """Return the providers that have an API key, best first."""
    config = settings.current()
    providers = [
        # A burst and a full minute can coincide, so the rate is half of the 30 requests a minute that Groq allows.
        Provider("groq", config.groq_url, config.groq_api_key, config.groq_model, "15/minute", 2048, json_mode=True),
        # Its models write out their reasoning first, which counts as tokens; `response_format` is not documented.
        Provider("minimax", config.minimax_url, config.minimax_api_key, config.minimax_model, "30/minute", 8192),
    ]
    return [provider for provider in providers if provider.api_key]
