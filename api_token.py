"""The tokens in API_TOKENS: who a program is, and what it may do over HTTP.

`NAME:TOKEN` may do everything. `NAME:TOKEN:RIGHTS` may do only what is listed, separated by commas: `read`, `decide`, and the
tasks that it may call, such as `tasks.publisher.*`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

#: Look at agents, keys, calls, what waits, incidents and the audit.
READ = "read"
#: Pause, resume and run agents, and decide about keys: what a person does.
DECIDE = "decide"
#: The rights of a pair that lists none.
EVERYTHING = (READ, DECIDE, "*")

#: Part of a call's id, of an audit entry and of a log line.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
#: What RFC 6750 lets a client send.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: A task, or several by `*` and `?`; a word without a dot and a `*` is a misspelt right.
_TASKS = re.compile(r"[A-Za-z0-9_.*?-]*[.*][A-Za-z0-9_.*?-]*")
#: Parts of a pair: its name, its token and its rights.
_NAME_AND_TOKEN, _WITH_RIGHTS = 2, 3


class UnusableTokens(ValueError):
    """Raised for a text that does not list tokens; says what to write, and repeats no token."""


@dataclass(frozen=True)
class ApiToken:
    """A program's name, its token and its rights."""

    name: str
    token: str = field(repr=False)
    rights: tuple[str, ...] = EVERYTHING

    @cached_property
    def digest(self) -> bytes:
        """The digest that a given token is compared with; digests have one length, so that the time tells nothing."""
        return digest(self.token)

    def may(self, right: str) -> bool:
        """Return whether READ or DECIDE is among the rights."""
        return right in self.rights

    def may_call(self, task: str) -> bool:
        """Return whether a task's name fits one of the rights."""
        return any(fnmatchcase(task, right) for right in self.tasks)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names and patterns of the tasks that may be called."""
        return tuple(right for right in self.rights if right not in {READ, DECIDE})


def digest(token: str) -> bytes:
    """Return the SHA-256 digest of a token, whatever its characters."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def find(tokens: tuple[ApiToken, ...], given: str) -> ApiToken | None:
    """Return the token that was given; compare all, so that the time taken tells nothing."""
    presented = digest(given)
    matches = [each for each in tokens if hmac.compare_digest(each.digest, presented)]
    return matches[0] if matches else None


def read(text: str) -> tuple[ApiToken, ...]:
    """Return the tokens of a text of pairs, separated by spaces.

    One name may have several tokens, so that a token can be exchanged without an interruption.

    Raises:
        UnusableTokens: A part of the text is not a pair, or a right is unknown.

    """
    found = tuple(_pair(part, number) for number, part in enumerate(text.split(), 1))
    names: dict[str, str] = {}
    for each in found:
        if names.setdefault(each.token, each.name) != each.name:
            raise UnusableTokens(
                f"has one token for both {names[each.token]} and {each.name}; give each program a token of its own"
            )
    return found


def _pair(text: str, number: int) -> ApiToken:
    name, *rest = text.split(":")
    if not _NAME.fullmatch(name) or not rest:
        raise UnusableTokens(
            f"has an entry (number {number}) that is not NAME:TOKEN or NAME:TOKEN:RIGHTS; a name has up to 32 letters, "
            "digits and - _ ., and spaces separate the entries"
        )
    if len(rest) >= _WITH_RIGHTS or not _TOKEN.fullmatch(rest[0]):
        raise UnusableTokens(
            f"has a token for {name} that a client cannot send; write letters, digits and - . _ ~ + /, without a colon"
        )
    return ApiToken(name, rest[0]) if len(rest) < _NAME_AND_TOKEN else ApiToken(name, rest[0], _rights(name, rest[1]))


def _rights(name: str, text: str) -> tuple[str, ...]:
    rights = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(right in {READ, DECIDE} or _TASKS.fullmatch(right) for right in rights):
        raise UnusableTokens(
            f"gives {name} a right that does not exist; write {READ}, {DECIDE} and the names of tasks such as "
            "tasks.publisher.*, separated by commas without spaces"
        )
    return rights
