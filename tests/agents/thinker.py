"""An agent that asks the ladder."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import BaseModel

import gatekeeper
from clients.llm.fallback import Answer, Question, ask
from gatekeeper import Effect, Rung


class Thought(BaseModel):
    title: str
    words: int = 0


def by_rules() -> Thought:
    return Thought(title="by the rules")


def think_about(subject: str) -> Answer[Thought]:
    return ask(Question("Think.", subject, Thought), rules=by_rules, raw=lambda: Thought(title="raw"))


@gatekeeper.task(key="think:{subject}")
def think(subject: str) -> Answer[Thought]:
    """Think about something."""
    return think_about(subject)


@gatekeeper.task(key="muse:{subject}", budget="100 tokens/day", attempts=1)
def muse(subject: str, then: str = "") -> Answer[Thought]:
    """Think about something, and then fail, or hang if this is the first attempt."""
    thought = think_about(subject)
    if then == "fail":
        raise RuntimeError("it thought in vain")
    mark = Path(os.environ["NOTES_DIR"]) / f"muse {subject}"
    if then == "hang" and not mark.exists():
        mark.touch()
        time.sleep(100)
    return thought


@gatekeeper.task(key="tell:{subject}", effect=Effect(accepts=Rung.MODEL))
def tell(subject: str, file: str) -> str:
    """Tell the world what a model thinks, and no less."""
    thought = think_about(subject).value
    with gatekeeper.effect(payload=thought) as frozen:
        Path(file).write_text(frozen.title)
    return thought.title
