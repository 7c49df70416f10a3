"""The greeter: leaves one letter per guest in the outbox."""

import os
from pathlib import Path

from pydantic import BaseModel

import gatekeeper
from gatekeeper import Breaker, Effect, NotApplied

OUTBOX = Path(os.environ.get("OUTBOX", "outbox"))


class Letter(BaseModel):
    guest: str
    text: str


class Sent(BaseModel):
    file: str


def find(letter: Letter) -> Sent | None:
    """Whether the letter is in the outbox; asked when an answer was lost."""
    file = OUTBOX / f"{letter.guest}.txt"
    return Sent(file=str(file)) if file.exists() else None


def take_back(sent: Sent) -> None:
    Path(sent.file).unlink(missing_ok=True)


def remember(sent: Sent, guest: str) -> None:
    """Write a letter that is out into the state, however that became known."""
    memory = gatekeeper.memory()
    memory.record("greeted", guest, value=sent.model_dump())
    memory.count("total_greeted")


@gatekeeper.task(
    key="greet:{guest}",
    rate="6/minute",
    cap="20/day",
    breaker=Breaker(after=3, cooldown="1m"),
    effect=Effect(verify=find, undo=take_back, then=remember),
)
def greet(guest: str) -> Sent:
    """Send one guest one letter, once."""
    before = gatekeeper.memory().get("greeted", guest)
    if before:
        return Sent.model_validate(before)
    letter = Letter(guest=guest, text=f"Welcome, {guest}!")
    with gatekeeper.effect(payload=letter) as frozen:
        return deliver(frozen)


@gatekeeper.task()
def greet_all() -> list[str]:
    """Submit one letter per guest on the list."""
    guests = ["ada", "grace"]
    for guest in guests:
        greet.delay(guest=guest)
    return guests


def deliver(letter: Letter) -> Sent:
    if not OUTBOX.is_dir():
        raise NotApplied(f"there is no outbox {OUTBOX}; create it")
    file = OUTBOX / f"{letter.guest}.txt"
    file.write_text(letter.text)
    return Sent(file=str(file))
