"""An agent that does everything an author should not do inside the effect."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import requests
from pydantic import BaseModel, SecretStr
from requests.adapters import HTTPAdapter
from urllib3 import Retry

import gatekeeper
from clients import http
from gatekeeper import Effect

#: Nobody listens here: it is the port of a service that no test machine runs.
REFUSING = "http://127.0.0.1:9/"


class Letter(BaseModel):
    """A payload with something in it that must not be stored."""

    token: SecretStr


#: Keeps its connections open.
client = httpx.Client()


def effects(path: str) -> str:
    return f"{os.environ['EFFECTS_URL']}/{path}"


def send(key: str, mode: str = "") -> requests.Response:
    return requests.post(effects(key), json={}, headers={"X-Effect-Mode": mode} if mode else {}, timeout=10)


crossed, other_sent = threading.Event(), threading.Event()


@gatekeeper.task()
def chatter() -> str:
    """Talk to the world beside an attempt that stands inside its effect."""
    assert crossed.wait(10)
    send("chatter")
    other_sent.set()
    return "sent"


@gatekeeper.task(key="inner:{n}")
def inner(n: int) -> str:
    """A task without an effect of its own that sends something all the same."""
    send(f"inner:{n}")
    return "sent"


@gatekeeper.task(key="trick:{trick}:{n}", effect=Effect())
def play(trick: str, n: int = 1) -> str:
    """Send one effect in the way that `trick` names."""
    if "open" in trick:
        client.get(effects("before"))
    with gatekeeper.effect(payload={"n": n}):
        return str(TRICKS[trick](f"trick:{trick}:{n}"))


@gatekeeper.task(key="payload:{kind}", effect=Effect())
def freeze(kind: str) -> str:
    """Begin the effect with a payload that JSON cannot carry."""
    payload: Any = {"object": {"x": object()}, "secret": Letter(token=SecretStr("hush"))}[kind]
    with gatekeeper.effect(payload=payload):
        send(f"payload:{kind}")
    return "sent"


@gatekeeper.task(key="count:{n}", effect=Effect())
def count(n: int, by: float) -> str:
    """Count in a way that metrics cannot."""
    with gatekeeper.effect(payload={"n": n}):
        send(f"count:{n}")
    gatekeeper.memory().count("money", by)  # type: ignore[arg-type]
    return "sent"


def refused_at_once(_: str) -> Any:
    return requests.post(REFUSING, timeout=5)


def answered_429(key: str) -> Any:
    send(key, "refuse:429").raise_for_status()


def applied_then_looked_up(key: str) -> Any:
    send(key).raise_for_status()
    requests.get(effects("nowhere/at/all"), timeout=5).raise_for_status()


def applied_then_refused(key: str) -> Any:
    send(key)
    return requests.post(REFUSING, timeout=5)


def applied_by_httpx_then_refused(key: str) -> Any:
    httpx.post(effects(key), json={})
    return requests.post(REFUSING, timeout=5)


def applied_by_an_open_httpx_client_then_refused(key: str) -> Any:
    client.post(effects(key), json={})
    return requests.post(REFUSING, timeout=5)


def applied_by_another_program_then_refused(key: str) -> Any:
    program = f"import httpx; httpx.post({effects(key)!r}, json={{}})"
    subprocess.run([sys.executable, "-c", program], check=True)
    return requests.post(REFUSING, timeout=5)


def applied_then_raised(key: str) -> Any:
    send(key)
    raise ConnectionRefusedError("by the author's own code")


def applied_in_a_thread_then_refused(key: str) -> Any:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: http.request("POST", effects(key), json={})).result()
        http.request("POST", REFUSING)


def retried_by_the_session(key: str) -> Any:
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=2, allowed_methods=None, status_forcelist=[429])))
        session.post(effects(key), json={}, headers={"X-Effect-Mode": "apply_then_drop"}, timeout=5)


def applied_by_another_task_then_refused(_: str) -> Any:
    inner(n=1)
    return requests.post(REFUSING, timeout=5)


def left_with_sys_exit(key: str) -> Any:
    send(key)
    sys.exit("enough")


def refused_while_another_attempt_sends(_: str) -> Any:
    crossed.set()
    assert other_sent.wait(10)
    return requests.post(REFUSING, timeout=5)


TRICKS = {
    function.__name__: function
    for function in (
        refused_at_once,
        applied_by_httpx_then_refused,
        applied_by_an_open_httpx_client_then_refused,
        applied_by_another_program_then_refused,
        answered_429,
        applied_then_looked_up,
        applied_then_refused,
        applied_then_raised,
        applied_in_a_thread_then_refused,
        retried_by_the_session,
        left_with_sys_exit,
        refused_while_another_attempt_sends,
        applied_by_another_task_then_refused,
    )
}


@gatekeeper.task(key="twice:{n}", effect=Effect())
def cross_in_two_threads(n: int) -> int:
    """Let two threads step over the same line; answers how many came across."""

    def cross() -> int:
        try:
            with gatekeeper.effect(payload={"n": n}):
                send(f"twice:{n}")
        except gatekeeper.GatekeeperError:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        contexts = [contextvars.copy_context() for _ in range(4)]
        return sum(pool.map(lambda context: context.run(cross), contexts))
