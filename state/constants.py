"""Constants that Python and the Lua scripts share; a script lists those it uses: `--! constants MAX_EVENTS`."""

from __future__ import annotations

from state import hints

#: The origin of a call that came in as a webhook: its sender was told that the call is accepted, and does not retry.
WEBHOOK = "webhook"

#: How long a call waits before it asks again that was stopped by a pause and whose caller does not retry.
PAUSE_RETRY_MS = 60_000
#: The same for a call that was stopped because effects are closed, or because a store was away: the first time, and at most.
#: Each time in a row is twice as long. A database is back in a moment, and a person who recovers may take hours.
FIRST_LEDGER_RETRY_MS, LEDGER_RETRY_MS = 2_000, 15_000
#: What a person runs when Redis lost what the journal has.
RECOVER = hints.gatehouse("recover")

#: Why a key is held about which a person decides first.
ASKS = "it waits for an approval"
#: What became of it if nobody did in time.
EXPIRED = "approval expired"

#: Entries of the lists that each agent keeps: its errors, its calls without a result, its event stream.
MAX_ERRORS = 20
MAX_DEAD = 1000
MAX_EVENTS = 1000
#: Decisions of persons that Redis keeps of each agent; the journal keeps all.
MAX_AUDIT = 5000

#: Parts of a budget's window in which tokens are counted: the record stays small, and a token counts at most one part longer.
BUDGET_SLICES = 60

#: Events that the history of a key keeps: the oldest and the newest. The slack avoids trimming it with each event.
HISTORY_OLDEST = 50
HISTORY_NEWEST = 150
HISTORY_SLACK = 50
