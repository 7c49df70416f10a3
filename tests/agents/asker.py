"""An agent whose effects a person looks at first, as a test agent: each attempt would send another text."""

from __future__ import annotations

import contextlib
from typing import Any

from pydantic import BaseModel, Field
from storyteller import post, written_by_a_model

import gatekeeper
from gatekeeper import Effect


class Letter(BaseModel):
    """What is sent; `name` is what its key is made of."""

    name: str
    text: str = Field(min_length=3)
    copies: int = 1


@gatekeeper.task(key="letter:{name}", effect=Effect())
def write(name: str) -> Any:
    """Send a letter with a text that is another one each time."""
    with gatekeeper.effect(payload=Letter(name=name, text=written_by_a_model())) as frozen:
        return post(f"letter:{name}", frozen.model_dump())


@gatekeeper.task(key="stamped:{name}", effect=Effect())
def stamp(name: str) -> Any:
    """Get a stamp in a first step, and keep it; then send with it."""
    stamp = gatekeeper.recall("stamp")
    if stamp is None:
        stamp = str(post(f"stamp:{name}", {})["id"])
        gatekeeper.keep("stamp", stamp)
    with gatekeeper.effect(payload={"name": name, "stamp": stamp}) as frozen:
        return post(f"stamped:{name}", frozen)


@gatekeeper.task(key="deaf:{name}", effect=Effect())
def hear_nothing(name: str) -> str:
    """Swallow whatever stops the effect, and go on as if it had been sent."""
    with contextlib.suppress(Exception), gatekeeper.effect(payload={"name": name}) as frozen:
        post(f"deaf:{name}", frozen)
    return "all is well"
