"""Tasks with a limit each, whose effects say which host had them."""

from __future__ import annotations

import os
from typing import Any

import requests

import gatekeeper
from gatekeeper import Breaker, Effect, Rate
from state import limits
from state.limits import Denied, ProviderLimits

#: A limit over all hosts, of something that belongs to no agent.
_PROVIDER = ProviderLimits(burst=3, every_ms=3_600_000, after=3, cooldown_ms=600_000, probe_ms=60_000)


def send(key: str) -> dict[str, Any]:
    """One effect at the judge, with the name of the host that sends it."""
    host = {"X-Host": os.environ["HOST_NAME"]}
    answer = requests.post(f"{os.environ['EFFECTS_URL']}/{key}", json={"key": key}, headers=host, timeout=30)
    answer.raise_for_status()
    return {"id": answer.json()["id"]}


@gatekeeper.task(key="rated:{n}", rate=Rate("3/hour", over="drop"), effect=Effect())
def rated(n: str) -> dict[str, Any]:
    """An effect of which three may come at once."""
    with gatekeeper.effect(payload={"n": n}):
        return send(f"rated:{n}")


@gatekeeper.task(key="capped:{n}", cap="3/day", effect=Effect())
def capped(n: str) -> dict[str, Any]:
    """An effect of which three a day are enough."""
    with gatekeeper.effect(payload={"n": n}):
        return send(f"capped:{n}")


@gatekeeper.task(key="thoughtful:{n}", budget="3000 tokens/day", effect=Effect())
def thoughtful(n: str) -> dict[str, Any]:
    """An effect about which a model was asked, which charges a thousand tokens; three thousand a day are enough."""
    gatekeeper.spend(1000, "lodging")
    with gatekeeper.effect(payload={"n": n}):
        return send(f"thoughtful:{n}")


@gatekeeper.task(key="fragile:{n}", breaker=Breaker(after=3, cooldown="1h"), effect=Effect())
def fragile(n: str, works: bool) -> dict[str, Any]:
    """An effect that fails before it begins when it is told to; three failures in a row open the breaker."""
    if not works:
        raise RuntimeError("told to fail")
    with gatekeeper.effect(payload={"n": n}):
        return send(f"fragile:{n}")


@gatekeeper.task()
def metered(n: str) -> str:
    """Ask a provider that allows three requests an hour; say so if it is not asked."""
    allowed = limits.permit("lodging", n, _PROVIDER)
    if isinstance(allowed, Denied):
        return f"denied: {allowed.why}"
    send(f"metered:{n}")
    limits.report(allowed, "ok")
    return "sent"


@gatekeeper.task(key="quiet:{n}", effect=Effect())
def quiet(n: str) -> dict[str, Any]:
    """An effect without a limit, which a pause stops."""
    with gatekeeper.effect(payload={"n": n}):
        return send(f"quiet:{n}")
