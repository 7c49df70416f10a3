"""The person who decides, the door that they came in by, and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.redact import clean
from state import terminal
from state.agents.audit import DOORS, Said
from workers.people import person

#: Characters of a reason and of a name.
MAX_WHY, MAX_NAME = 500, 100


class NotDecided(Exception):
    """Raised for a decision that cannot be taken; nothing is changed, and the text says what to do."""


class NotFound(NotDecided):
    """Raised if there is no such agent, key, call, draft or schedule entry."""


@dataclass(frozen=True)
class By:
    """The person who decides, the door and the reason; texts in one line and without secrets. Raises NotDecided."""

    name: str
    door: str
    why: str

    def __post_init__(self) -> None:
        if self.door not in DOORS:
            raise NotDecided(f"{self.door!r} is not a door; there are: {', '.join(DOORS)}")
        for field, most in (("name", MAX_NAME), ("why", MAX_WHY)):
            object.__setattr__(self, field, _one_line(getattr(self, field), most))
        if not self.name:
            raise NotDecided("nothing was decided: say who you are")
        if not self.why:
            raise NotDecided("nothing was decided: say why in one line; the next person who looks will read it")

    def said(self, what: str, subject: str = "") -> Said:
        """Return a decision of this person, as the list of decisions has it."""
        return Said(what, self.name, self.door, self.why, subject)


def by_command(why: str) -> By:
    """Return the person who runs this command, with their reason. Raises NotDecided."""
    return By(person(), "command", why)


def _one_line(text: str, most: int) -> str:
    """Return a text of a person in one line: without secrets, and with control characters shown."""
    line = terminal.one_line(clean(" ".join(text.split())))
    return line if len(line) <= most else f"{line[:most]}…"
