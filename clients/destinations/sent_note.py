"""The note that an attempt stores before it sends: later attempts send the same text, and look-ups know where to look."""

from __future__ import annotations

import re
import unicodedata

from pydantic import BaseModel, ConfigDict

import gatekeeper

#: The name of the checkpoint that stores it.
CHECKPOINT = "draft"
#: A text that shares at least this part of its words with ours may be ours, changed by the provider; a person decides.
MIN_SIMILARITY = 0.6

_DOMAIN_OF_A_HANDLE = re.compile(r"(?<=@)(\w+)@[\w.-]+\w")
#: Characters that are compared; Unicode normalization takes quadratic time for some texts.
MAX_COMPARED = 10_000


class SentNote(BaseModel):
    """A note of one text that is sent to one account.

    Attributes:
        at: The URL of the provider's API.
        account: The account's id there.
        text: The text that is sent.
        after: The id or the time of the account's newest post before the first attempt; look-ups stop there.

    """

    model_config = ConfigDict(frozen=True)

    at: str
    account: str
    text: str
    after: str

    def keep(self) -> None:
        """Store the note as a checkpoint of the key; it is on disk when this returns."""
        gatekeeper.keep(CHECKPOINT, self.model_dump_json())

    def is_for(self, at: str, account: str) -> bool:
        """Return whether the note is about this account at this URL."""
        return (self.at, self.account) == (at, account)

    def is_said_by(self, text: str) -> bool:
        """Return whether a provider's text is this one, ignoring everything but letters and digits."""
        return _bare(self.text) == _bare(text)

    def resembles(self, text: str) -> bool:
        """Return whether a text shares at least MIN_SIMILARITY of its words with this one."""
        ours, theirs = _words(self.text), _words(text)
        return len(ours & theirs) >= MIN_SIMILARITY * max(len(ours), len(theirs), 1)


def recalled() -> SentNote | None:
    """Return the note of an earlier attempt at this key; None if no attempt was about to send."""
    text = gatekeeper.recall(CHECKPOINT)
    return SentNote.model_validate_json(text) if text else None


def _normalized(text: str) -> str:
    text = unicodedata.normalize("NFKC", text[:MAX_COMPARED]).casefold()
    return _DOMAIN_OF_A_HANDLE.sub(r"\1", text)


def _bare(text: str) -> str:
    """Return the letters and digits of a text; if it has none, everything but spaces and invisible characters."""
    text = _normalized(text)
    return "".join(filter(str.isalnum, text)) or "".join(
        c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", _normalized(text)))
