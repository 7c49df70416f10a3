"""The note that an attempt stores before it sends: later attempts send the same text, and look-ups know where to look."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

import gatekeeper
from clients.destinations import LookupInconclusive, Published

#: The name of the checkpoint that stores it.
CHECKPOINT = "draft"
#: A text that shares at least this part of its words with ours may be ours, changed by the provider; a person decides.
MIN_SIMILARITY = 0.6

#: A handle with its server, as Mastodon recognises it; it is counted and shown without the server.
HANDLE = re.compile(r"(?<![=/\w])@([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)@[\w.-]+\w", re.IGNORECASE)
#: The beginning of a link, which providers may leave out.
_SCHEME = re.compile(r"https?://(?:www\.)?|\bwww\.", re.IGNORECASE)
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

    def check_account(self, at: str, account: str, settings: str) -> None:
        """Raise LookupInconclusive, which names the settings, if the note is about another account."""
        if not self.is_for(at, account):
            why = f"it was sent to account {self.account} at {self.at}, which {settings} no longer names"
            raise LookupInconclusive(why)

    def search(self, posts: Iterable[tuple[str, Published]]) -> Published | None:
        """Return the first post that says this text.

        Args:
            posts: What the account published since the note, each with its text.

        Raises:
            LookupInconclusive: no post has the same letters and digits, but one has nearly the same words.

        """
        doubtful = ""
        for text, published in posts:
            if _bare(self.text) == _bare(text):
                return published
            if self._resembles(text):
                doubtful = published.url
        if doubtful:
            raise LookupInconclusive(f"{doubtful} says nearly the same; see whether it is this post")
        return None

    def _resembles(self, text: str) -> bool:
        """Return whether a text shares at least MIN_SIMILARITY of its words with this one, with or without links."""
        pairs = ((self.text, text), (_without_links(self.text), _without_links(text)))
        return any(_share(_words(ours), _words(theirs)) >= MIN_SIMILARITY for ours, theirs in pairs)


def recalled() -> SentNote | None:
    """Return the note of an earlier attempt at this key; None if no attempt was about to send."""
    text = gatekeeper.recall(CHECKPOINT)
    return SentNote.model_validate_json(text) if text else None


def _normalized(text: str) -> str:
    text = unicodedata.normalize("NFKC", text[:MAX_COMPARED]).casefold()
    return _SCHEME.sub("", HANDLE.sub(r"\1", text))


def _without_links(text: str) -> str:
    """Remove links, also those that a provider shortened to their beginning and an ellipsis."""
    return " ".join(word for word in text.split() if "://" not in word and not word.endswith("…"))


def _share(ours: set[str], theirs: set[str]) -> float:
    return len(ours & theirs) / max(len(ours), len(theirs), 1)


def _bare(text: str) -> str:
    """Return the letters and digits of a text; if it has none, everything but spaces and invisible characters."""
    text = _normalized(text)
    return "".join(filter(str.isalnum, text)) or "".join(
        c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", _normalized(text)))
