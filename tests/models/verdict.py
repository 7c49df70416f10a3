"""What the tests ask for."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field


class Verdict(BaseModel):
    """A small schema with a range, a choice and a list."""

    title: str = Field(min_length=1, max_length=80)
    mood: Literal["good", "bad"]
    score: float = Field(ge=0)
    weight: float = 1  # any number there is
    tags: list[str] = []


RULES = Verdict(title="by the rules", mood="bad", score=1)
RAW = Verdict(title="raw", mood="bad", score=0)
GOOD = {"title": "by a model", "mood": "good", "score": 0.5, "tags": ["a"]}


def reply(**changes: Any) -> str:
    """The JSON of a good verdict, with changes."""
    return json.dumps(GOOD | changes)
