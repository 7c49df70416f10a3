"""A draft as a person edits it: another title and another text under the same front matter."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from clients.content import post


@dataclass(frozen=True)
class Edit:
    """A draft as a person left it: its title, and its text in Markdown."""

    title: str
    body: str


def body(document: bytes) -> str:
    """Return the text below the front matter. Raises BrokenPost."""
    _, text = post.split(document.decode("utf-8", "replace"))
    return text


def document(before: bytes, edit: Edit) -> bytes:
    """Return the draft with the edit; every other field of its front matter stays, its id above all.

    Raises:
        BrokenPost: the edited draft is not a post that can be published.

    """
    header, _ = post.split(before.decode("utf-8", "replace"))
    header = {**header, "title": edit.title}
    post.build({**header, "body": edit.body})
    fields = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{fields}---\n{edit.body.strip()}\n".encode()
