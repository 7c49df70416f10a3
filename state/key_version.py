"""The version of a key: what a person sees of it before a decision, in 16 hexadecimal digits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

#: The fields of a key on which a decision about it depends, in the order of version.lua.inc.
FIELDS = ("state", "fence", "call", "revision", "payload")
#: Hexadecimal digits of a version.
DIGITS = 16


def version_of(kept: Mapping[str, str | None]) -> str:
    """Return the version of a key whose hash in Redis has these fields; version.lua.inc computes the same.

    A doubt in which look-ups gave up is the same doubt, so `unknown` and `held` do not differ here.
    """
    standing = {"state": "held"} if kept.get("state") == "unknown" else {}
    text = "\x1f".join(({**kept, **standing}.get(field) or "") for field in FIELDS)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:DIGITS]
