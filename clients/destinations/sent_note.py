"""What an attempt notes before it sends: where, as whom, which text, and what was the newest there. Look-ups begin from it."""

from __future__ import annotations

import re
import unicodedata

from pydantic import BaseModel, ConfigDict

import gatekeeper
from clients.text import html

#: The recovery point that holds it.
CHECKPOINT = "draft"
#: A text that shares so many of its words with ours may be ours, changed on the way: no machine should decide that.
MIN_SIMILARITY = 0.6

_DOMAIN_OF_A_HANDLE = re.compile(r"(?<=@)(\w+)@[\w.-]+\w")
#: Characters that are compared; to put a text into one spelling takes time by the square of its length.
MAX_COMPARED = 10_000


class SentNote(BaseModel):
    """One text for one account; `after` marks the newest post that was there before, in the provider's own words."""

    model_config = ConfigDict(frozen=True)

    at: str
    account: str
    text: str
    after: str

    def keep(self) -> None:
        """Store it with the key, so that every later attempt sends the same and looks in the same place."""
        gatekeeper.keep(CHECKPOINT, self.model_dump_json())

    def is_for(self, at: str, account: str) -> bool:
        return (self.at, self.account) == (at, account)

    def is_said_by(self, text: str) -> bool:
        """Whether a provider's text is this one, however it set links, quotes and line breaks."""
        return _bare(self.text) == _bare(text)

    def resembles(self, text: str) -> bool:
        """Whether a text shares most of its words with this one."""
        mine, others = _words(self.text), _words(text)
        return len(mine & others) >= MIN_SIMILARITY * max(len(mine), len(others), 1)


def recalled() -> SentNote | None:
    """What an earlier attempt at this key noted; None if none came as far as sending."""
    text = gatekeeper.recall(CHECKPOINT)
    return SentNote.model_validate_json(text) if text else None


def text_of_html(written: str) -> str:
    """The text of a provider's HTML, on one line."""
    return html.plain(written)


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text[:MAX_COMPARED]).casefold()
    return _DOMAIN_OF_A_HANDLE.sub(r"\1", text)


def _bare(text: str) -> str:
    """Letters and digits alone; where there are none, everything but the space between and what joins emoji."""
    text = _plain(text)
    return "".join(filter(str.isalnum, text)) or "".join(
        c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", _plain(text)))
