"""Addresses of posts, and templates for all generated pages: they escape their values and share one inline style sheet.

The content security policy in `base.html` allows that style sheet by its digest, and no scripts or external resources.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import settings
from state import hints

TEMPLATES = Path(__file__).with_name("templates")


def environment(*folders: Path) -> Environment:
    """Return a template environment.

    Args:
        folders: Folders to search before TEMPLATES; each has a `style.css`, which is appended to the shared style.

    Returns:
        The environment. `root` leads from a page to the folder of `feed.xml`, by default to the one above.

    """
    every = [*folders, TEMPLATES]
    env = Environment(
        loader=FileSystemLoader(every), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, undefined=StrictUndefined,
    )  # fmt: skip
    style = "\n".join((folder / "style.css").read_text("utf-8") for folder in reversed(every))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    env.globals |= {"style": style, "style_hash": f"sha256-{digest}", "root": "../", "gatehouse": hints.gatehouse}
    env.filters |= {"day": _day, "instant": _instant}
    return env


def link_base(post_id: str) -> str:
    """Return the address that a post's relative links start from: its page below PUBLIC_URL; empty if that is not set."""
    here = settings.current()
    return "" if here.public_url == here.web_url else f"{here.public_url}/posts/{post_id}.html"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
