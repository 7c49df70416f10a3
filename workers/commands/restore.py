"""`gate restore`: from the mirrors back into an empty Redis."""

from __future__ import annotations

from gatekeeper.policies.spec import agents
from state.ledger import Ledger, RestoreError
from workers.commands.output import Failed, command, show
from workers.commands.recover import in_words, rebuild


@command("restore")
def restore(*, json_: bool) -> None:
    """Load the state files of all agents into an empty Redis; a living one is never overwritten.

    Where there is a journal, it is read back too, as by `gate recover`.
    """
    ledger = Ledger()
    try:
        restored = ledger.restore(agents())
    except RestoreError as error:
        raise Failed(str(error)) from None
    lines = ["restored: " + (", ".join(restored) or "nothing, there are no state files")]
    if ledger.has_journal():
        lines.append(in_words(rebuild(hidden=True)))
    show(json_, {"restored": restored}, "\n".join(lines))


commands = (restore,)
