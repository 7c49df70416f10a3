"""The decisions of persons: one function for each, whichever door it comes in by.

Each changes both stores, writes the state file, and leaves one entry in the list of decisions (`state/agents/audit.py`).
The commands, the desk, the API and the links of alerts call these functions and decide nothing themselves.
"""

from workers.decisions.agents import pause, recovered, resume, set_autonomy, stop_all
from workers.decisions.by import By, NotDecided, NotFound, by_command
from workers.decisions.drafts import draft_approve, draft_reject
from workers.decisions.hosts import host_gone
from workers.decisions.keys import approve, cancel, find, reject, replay, resolve, revise
from workers.decisions.older import older_processes, warn_of_older
from workers.decisions.schedule import backfill, run

__all__ = [
    "By",
    "NotDecided",
    "NotFound",
    "approve",
    "backfill",
    "by_command",
    "cancel",
    "draft_approve",
    "draft_reject",
    "find",
    "host_gone",
    "older_processes",
    "pause",
    "recovered",
    "reject",
    "replay",
    "resolve",
    "resume",
    "revise",
    "run",
    "set_autonomy",
    "stop_all",
    "warn_of_older",
]
