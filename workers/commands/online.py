"""`gate doctor --online`: ask each destination whose our token is, each model for a few words, and the mail server to let us in.

Nothing is published or mailed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from requests import RequestException

import settings
from clients import destinations, http, mail
from clients.llm import chat_completion, providers
from clients.llm.completion_error import CompletionError
from clients.llm.providers import Provider
from clients.llm.request_form import RequestForm
from gatekeeper import hostile
from gatekeeper.errors import NotApplied
from gatekeeper.redact import clean, describe
from gatekeeper.run import prospects
from server_urls import smtp_url
from server_urls.smtp_url import SmtpUrl
from workers.commands.vitals import Finding

#: A question that costs a few tokens. A reply that is cut off is enough: the key, the URL and the model are right.
SYSTEM, PROMPT, MAX_TOKENS = 'Answer with the JSON object {"ok": true}.', "Are you there?", 16


def findings(config: settings.Settings) -> Iterator[Finding]:
    """Ask every destination and every model that has its settings, and the mail server, one after the other."""
    for name, needs in destinations.NEEDS.items():
        if all(getattr(config, need) for need in needs):
            yield _destination(config, name, needs)
    for provider in providers.configured():
        yield _model(provider)
    if config.smtp_url:
        yield _mail_server(smtp_url.read(config.smtp_url))


def _destination(config: settings.Settings, name: str, needs: tuple[str, ...]) -> Finding:
    check, address = f"destination {name}", f"{name}_url"
    try:
        account = destinations.account(name)
    except Exception as error:  # noqa: BLE001 - a destination is an author's module, and the others are asked too
        cause = error.__cause__ if isinstance(error, NotApplied) else None
        if isinstance(cause, RequestException) and cause.response is None:
            found, suspects = f"no answer: {http.reason(cause)}", [address]
        else:
            found, suspects = hostile.text_of(cause) if cause else describe(error), [address, *needs]
        named = " or ".join(map(str.upper, suspects))
        change = prospects.of(error).change or f"{named}; if that is right, try again later"
        return Finding(check, clean(found), f"change {clean(change)}")
    where = clean(str(getattr(config, address, "it")))
    return Finding(check, f"{where} knows the token: it is of {account}" if account else "has no check")


def _mail_server(server: SmtpUrl) -> Finding:
    """Connect, encrypt and sign in."""
    try:
        mail.check(server, settings.current().http_timeout)
    except NotApplied as error:
        later = "SMTP_URL; if that is right, try again later"
        return Finding("mail", clean(str(error)), f"change {clean(error.change or later)}")
    signed_in = f" and knows {server.username}" if server.username else ""
    return Finding("mail", f"{server.address} answers{signed_in}; mail comes from {mail.sender()}")


def _model(provider: Provider) -> Finding:
    """Ask for a reply as `clients.llm.fallback` does, but whatever its breaker and its rate say: a person wants to know."""
    form, asked = RequestForm(), replace(provider, max_tokens=MAX_TOKENS)
    while True:
        try:
            chat_completion.complete(asked, form, SYSTEM, PROMPT, settings.current().http_timeout)
        except CompletionError as error:
            if error.instead is not None:
                form = error.instead
                continue
            if error.outcome != "ok":
                return Finding(f"model {provider.name}", f"{provider.model}: {error}", clean(_change(provider, error)))
        limits = form.describe()
        return Finding(f"model {provider.name}", f"{provider.model} answers{limits and f', {limits}'}")


def _change(provider: Provider, error: CompletionError) -> str:
    name = provider.name.upper()
    if error.outcome == "later":
        return f"nothing, or the plan of {name}_API_KEY: it asks for a pause of {error.seconds:g} s"
    if error.outcome == "refused":
        return f"check {name}_MODEL ({provider.model}): it refuses a simple question"
    return error.advice or f"check {name}_URL ({provider.endpoint}); if it is right, the provider is down"
