"""The form in which a person edits what would be sent: its texts as fields, or the whole as JSON, and what came back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from state.ledger import Ledger
from state.ledger.resolve import Stale
from web.desk.form import Form
from web.desk.ticket import Ticket

#: What the names of the fields begin with that hold texts of the payload; the whole JSON has a name of its own.
PREFIX, WHOLE = "text.", "json"
#: Characters of a text beyond which it gets several lines.
_LONG = 90
#: Texts that are fields of their own; a payload with more is edited as JSON.
MAX_TEXTS = 12


@dataclass(frozen=True)
class Text:
    """One text of a payload in the form: the name of its field, its label, and its value."""

    field: str
    label: str
    value: str
    is_long: bool


@dataclass(frozen=True)
class Editor:
    """The texts of a key that can be edited; `ticket` names it as it is now."""

    ticket: Ticket
    texts: tuple[Text, ...]
    is_refused: bool  #: its provider refused it before, so that no approval waits


def editor(agent: str, key: str, state: str) -> Editor | None:
    """Return the form for the text about which a person may decide; None if there is none. Raises StoreError."""
    if state not in {"held", "rejected"}:
        return None
    found = Ledger().proposal(agent, key)
    if found is None:
        return None
    texts = tuple(_texts(json.loads(found.proposal.text)))
    return Editor(Ticket(agent, key, found.version), texts, is_refused=state == "rejected")


def payload(shown: Ticket, form: Form) -> str:
    """Return the JSON text of what a person made of a payload: the texts of the form, and everything else as it was.

    Raises:
        HTTPException: 409 if the key has no text any more, 422 if the form has no JSON where it should.
        Stale: The key is not any more what the person saw.

    """
    found = Ledger().proposal(shown.agent, shown.key)
    if found is None:
        raise HTTPException(409, f"{shown.key} has no text to edit any more; nothing was changed")
    if found.version != shown.version:
        raise Stale(f"{shown.key} is not any more as you saw it, so nothing was changed; look at it again")
    before = json.loads(found.proposal.text)
    if not any(each.field == WHOLE for each in _texts(before)):
        return json.dumps(_edited(before, form), ensure_ascii=False)
    text = form.text(WHOLE)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"what you wrote is not JSON: {error}; nothing was changed") from None
    return text


def _texts(value: Any) -> list[Text]:
    if isinstance(value, str):
        return [Text(PREFIX, "Text", value, is_long=True)]
    named = {name: each for name, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}
    if not 0 < len(named) <= MAX_TEXTS:
        return [Text(WHOLE, "The payload, as JSON", json.dumps(value, ensure_ascii=False, indent=2), is_long=True)]
    return [Text(f"{PREFIX}{name}", name, each, _is_long(each)) for name, each in named.items()]


def _is_long(text: str) -> bool:
    return len(text) > _LONG or "\n" in text


def _edited(before: Any, form: Form) -> Any:
    """Return the payload with the texts of the form; a text that is the same but for its line ends stays as it was."""
    if isinstance(before, str):
        return _text(before, form, PREFIX)
    return {
        name: _text(each, form, f"{PREFIX}{name}") if isinstance(each, str) else each for name, each in before.items()
    }


def _text(before: str, form: Form, field: str) -> str:
    if field not in form:
        return before
    after = form.text(field)
    return before if after == before.replace("\r\n", "\n").replace("\r", "\n") else after
