"""A call: one requested run of a task, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """What every door hands to the gate.

    `kwargs` is JSON text of the validated arguments, `fingerprint` a digest of it; `door` says where the call came in.
    """

    id: str
    agent: str
    task: str
    key: str
    kwargs: str
    fingerprint: str
    door: str
    effect: bool = False  #: its task changes the world outside, so the journal has a record of it
    options: str = ""  #: JSON text of its `state.options.Options`; empty if the caller said nothing
