"""The keys, calls and posts that a person names, whole or in part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from gatekeeper.policies.spec import agents as task_agents
from state import hints
from state.agents import calls, history
from state.agents.calls import Ref, Wanted
from state.terminal import one_line
from workers.commands import posts
from workers.commands.output import Failed

#: Candidates of an ambiguous name that are listed.
MAX_CANDIDATES = 10
#: Names among which one is searched that is like an unknown one.
MAX_COMPARED = 3000
#: Characters; a shorter text is not searched for in the middle of names.
MIN_PART = 3


def records(agents: list[str], text: str) -> list[dict[str, Any]]:
    """Return the records that a text means: one, or those of all keys of a post; none if it means nothing.

    Raises:
        Failed: It is the beginning of several names; lists them.

    """
    exact = history.read_history(agents, text)
    if exact is not None:
        return [exact]
    if not text.strip() or text in task_agents():
        return []
    found, _ = calls.matching(agents, text)
    of_post = [ref for ref in found if ref.kind == "key" and ref.name.endswith(f":{text}")]
    begun = [ref for ref in found if ref.name.startswith(text)]
    parts = [ref for ref in found if ref.kind == "key"] if len(text) >= MIN_PART else []
    chosen = of_post or _without_calls_of(begun) or _without_calls_of(parts)
    if len(chosen) > 1 and not of_post:
        raise _ambiguous(text, chosen)
    read = (history.read_history([ref.agent], ref.name) for ref in chosen[:MAX_CANDIDATES])
    return [record for record in read if record is not None]


def _without_calls_of(refs: Sequence[Ref]) -> list[Ref]:
    """Return the names without each call whose key is among them: `tick:…` is both a key and its call."""
    keys = {ref.name for ref in refs if ref.kind == "key"}
    return [ref for ref in refs if ref.kind == "key" or ref.name not in keys]


def _ambiguous(text: str, refs: Sequence[Ref]) -> Failed:
    shown = "\n".join(f"  {one_line(ref.name)}" for ref in refs[:MAX_CANDIDATES])
    more = f"\n  … and {len(refs) - MAX_CANDIDATES} more" if len(refs) > MAX_CANDIDATES else ""
    return Failed(
        f"{text!r} fits {len(refs)} keys and calls; write more of one of them:\n{shown}{more}\n"
        f"see: {hints.gatehouse('list', '--search', text)}"
    )


def unknown(agents: list[str], text: str) -> Failed:
    """Return the error for a text that means nothing; it names what is like it."""
    if text in task_agents():
        return Failed(f"{text!r} is an agent, and not a key; see: {hints.gatehouse('status', text)}")
    newest = calls.newest(agents, Wanted(limit=MAX_COMPARED)).calls
    names: Iterable[str] = dict.fromkeys([*posts.ids(), *(each.key or each.call for each in newest)])
    close = get_close_matches(text, list(names), n=3, cutoff=0.6)
    if close:
        lines = "\n".join(f"  {hints.gatehouse('explain', name)}" for name in close)
        return Failed(f"no key, call or post {text!r} is known; did you mean:\n{lines}")
    return Failed(f"no key, call or post {text!r} is known; see what there is: {hints.gatehouse('list')}")
