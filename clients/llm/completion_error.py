"""The reason why a request to a model brought no usable reply, and what that says about the provider."""

from __future__ import annotations

from dataclasses import dataclass, field

from clients.llm.cost import Cost
from clients.llm.request_form import RequestForm
from state.limits import Outcome


@dataclass(eq=False)
class CompletionError(Exception):
    """Raised when a request brought no reply that can be used.

    Attributes:
        why: The reason in our words.
        outcome: How it counts for the provider's record; `ok` if the provider works.
        said: The provider's own words, or an empty text.
        seconds: How long the outcome holds, or None for the default.
        cost: What the request cost all the same.
        advice: What a person can do, or an empty text.
        instead: The form in which the server may accept the same question, or None.

    """

    why: str
    outcome: Outcome = "ok"
    said: str = ""
    seconds: float | None = None
    cost: Cost = field(default_factory=Cost)
    advice: str = ""
    instead: RequestForm | None = None

    def __str__(self) -> str:
        return f"{self.why}: {self.said}" if self.said else self.why


class UnusableReply(CompletionError):
    """Raised for a reply that is not an answer; the provider works, and the message does not quote the reply."""
