"""`/agents/{agent}`: how one agent is, what it did, and the forms to pause, resume and run it."""

from __future__ import annotations

import json

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from gatekeeper.redact import hide_secrets
from state.agents import events
from state.agents.autonomy import MODES
from state.formatting import iso
from state.ledger import Ledger
from tasks.reporter import charts
from web.desk import acting, agent_rows, door
from web.desk.visit import Visit
from workers import decisions
from workers.people import all_agents
from workers.readings import agents as readings

#: Events and keys of an agent that its page shows.
MAX_RECEIPTS, MAX_HELD = 20, 10
#: Characters of the state that the page shows; the file has the rest.
MAX_STATE = 20_000


def routes() -> list[BaseRoute]:
    """Return the routes of an agent's page and of its forms."""
    return [
        door.page("/agents/{agent}", show),
        door.action("/agents/{agent}/pause", pause),
        door.action("/agents/{agent}/resume", resume),
        door.action("/agents/{agent}/run", run),
        door.action("/agents/{agent}/autonomy", autonomy),
        door.action("/stop-all", stop_all),
    ]


def show(visit: Visit) -> Response:
    """Show one agent."""
    name = visit.path("agent")
    if name not in all_agents():
        return unknown(visit, name)
    [reading] = readings.read([name])
    receipts = [each for _, each in events.newest(name, MAX_RECEIPTS)]
    text = hide_secrets(json.dumps(reading.state.document(), indent=2, ensure_ascii=False))
    return visit.render(
        "agent.html",
        agent=reading,
        row=agent_rows.row(reading),
        chart=charts.stacked([(f"{day:%a %d}", counts) for day, counts in reading.week], 60),
        days=[(day, counts) for day, counts in reading.week if any(counts.values())],
        receipts=[(iso(each.at_ms), each) for each in receipts],
        held=Ledger().waiting(name, 0, MAX_HELD),
        limits=reading.limits,
        document=text[:MAX_STATE],
        is_cut=len(text) > MAX_STATE,
        took=charts.duration,
    )


def unknown(visit: Visit, name: str) -> Response:
    """Say that there is no such agent, and which there are."""
    links = [(each, f"agents/{each}") for each in all_agents()]
    sentence = f"No agent is called {name}. An agent is a module in tasks/ or in TASK_MODULES."
    return visit.render("unknown.html", 404, title="No such agent", sentence=sentence, links=links)


def pause(visit: Visit) -> Response:
    """Let nothing of an agent start until it is resumed."""
    name = visit.path("agent")
    is_new = acting.act(visit, lambda by: decisions.pause(name, by))
    said = f"{name} is paused: nothing of it starts until somebody resumes it."
    return visit.go(acting.agent_path(name), said if is_new else f"{name} was paused already; the first reason stays.")


def resume(visit: Visit) -> Response:
    """Let an agent run again."""
    name = visit.path("agent")
    was_paused = acting.act(visit, lambda by: decisions.resume(name, by))
    return visit.go(acting.agent_path(name), f"{name} runs again." if was_paused else f"{name} was not paused.")


def run(visit: Visit) -> Response:
    """Run one entry of the schedule now."""
    entry = visit.form.get("entry")
    told = acting.act(visit, lambda by: decisions.run(entry, by))
    return visit.go(acting.call_path(told["call"]), f"{entry} was started; this is its call.")


def autonomy(visit: Visit) -> Response:
    """Choose how far an agent may go by itself."""
    name, chosen = visit.path("agent"), visit.form.get("mode")
    mode = next((each for each in MODES if each == chosen), None)
    if mode is None:
        raise HTTPException(422, f"choose one of {', '.join(MODES)}; nothing was changed")
    older = ", ".join(decisions.older_processes(mode))
    before = acting.act(visit, lambda by: decisions.set_autonomy(name, mode, by))
    but = f" Until they end, in some seconds, older processes send without asking: {older}." if older else ""
    return visit.go(
        acting.agent_path(name), f"{name}: {mode} from now on; it was {before}. What is held stays held.{but}"
    )


def stop_all(visit: Visit) -> Response:
    """Pause every agent."""
    paused = acting.act(visit, decisions.stop_all)
    return visit.go("/", f"Every agent is paused: {', '.join(paused)}. Each goes on when somebody resumes it.")
