"""What happens to the hosts, under load: each scenario asks for effects, hurts a host, and lets it heal, or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from tests.harness import until
from tests.hosts.fleet import Fleet
from tests.hosts.host import Host
from tests.torture import shim
from tests.torture.orders import stumble

HOURS, MINUTE = 3600.0, 60.0
#: Seconds by which Jepsen's clock nemesis bumps at most.
BUMP = 262.0
#: Slower than one effect and its round trips need at this load.
RATE = "256kbit"
#: Effects of each kind that a worker begins and never sends.
UNSENT = 2
#: The queue of these, so that no other worker takes them.
APART = "stumbling"
#: More look-ups than prove an absence of which the sender is dead.
LOOK_UPS = 3


def ticks_of_two_beats(fleet: Fleet) -> None:
    """Let both beats make up for the same ticks, while the hosts have other work."""
    fleet.ask()
    _wait_ticks(fleet, "agree")


def cut_off_and_healed(fleet: Fleet) -> None:
    """Let every packet of A vanish while it sends; B takes its claims; then A is back."""
    held = fleet.ask_until_in_flight(fleet.a)
    fleet.a.line.cut()
    fleet.ask()
    fleet.wait_given_up(held)
    fleet.a.line.heal()
    fleet.ask()
    until(lambda: fleet.told(fleet.a)["silent"] < 10, 90, "A to be back")


def slowed(fleet: Fleet) -> None:
    """Let the line of A be slow for all that it does."""
    fleet.a.line.slow(RATE)
    fleet.ask_until_in_flight(fleet.a)
    fleet.ask()
    fleet.rest()
    fleet.a.line.fast()


def killed_and_back(fleet: Fleet) -> None:
    """End every process of A while it sends, and start them again when B has taken the claims."""
    held = fleet.ask_until_in_flight(fleet.a)
    fleet.a.lose_power()
    fleet.ask()
    fleet.wait_given_up(held)
    fleet.a.turn_on()()
    fleet.ask()


def clocks_apart(fleet: Fleet) -> None:
    """Set the clocks of the hosts four hours apart, let one jump, and let both beats make up for ticks."""
    fleet.a.set_clock(2 * HOURS)
    fleet.b.set_clock(-2 * HOURS)
    fleet.look_back("apart")
    fleet.ask_until_in_flight(fleet.a)
    fleet.a.set_clock(2 * HOURS + BUMP)
    fleet.ask()
    _wait_ticks(fleet, "apart")
    until(lambda: all(_told_clock(fleet, host) > HOURS for host in fleet.hosts), 60, "both clocks to be told")
    fleet.rest()
    for host in fleet.hosts:
        host.set_clock(0)


def gone_for_good(fleet: Fleet) -> None:
    """End every process of A while some effects are sent and some begun and not sent; it never comes back.

    What cannot be sent any more is sent only after a person said that A is gone.
    """
    unsent = _begin_and_do_not_send(fleet, fleet.a)
    held = fleet.ask_until_in_flight(fleet.a)
    fleet.a.lose_power()
    fleet.b.begin_worker(queues=APART)
    fleet.ask()
    fleet.wait_given_up([*held, *unsent])
    looked_up = partial(_look_ups, fleet, [key for key in unsent if key.startswith("sure:")])
    stay = partial(_stay_in_doubt, fleet, unsent)
    until(lambda: looked_up() > LOOK_UPS or not stay(), 60, "look-ups that prove nothing")
    if not stay():
        fleet.problems.append(f"before the word about A: {fleet.states(unsent)}")
    _say_gone(fleet, fleet.a)
    until(lambda: all(key in fleet.judge.counts() for key in unsent if key.startswith("sure:")), 60, "the sure ones")
    for key in (key for key in unsent if key.startswith("strike:")):
        fleet.producer.gate("resolve", key, "--not-applied", "--why", "its host is gone, and the provider has nothing")


SCENARIOS: dict[str, Callable[[Fleet], None]] = {
    "two beats make up for the same 20 ticks": ticks_of_two_beats,
    "host A is cut off while it sends, and healed": cut_off_and_healed,
    f"its line lets {RATE}/s through": slowed,
    "the clocks are four hours apart, and one jumps": clocks_apart,
    "all its processes are killed, and started again": killed_and_back,
    "it is gone for good": gone_for_good,
}


#: Those that the short form leaves out.
LONG = frozenset({slowed, clocks_apart, killed_and_back})


def missing(scenario: Callable[[Fleet], None]) -> str:
    """Return what a scenario needs and is not here; "" if it can be played."""
    return (shim.missing() or "") if scenario is clocks_apart else ""


def _wait_ticks(fleet: Fleet, entry: str) -> None:
    """Wait until each missed slot of an entry has run, and judge how often."""
    slots = fleet.slots(entry)
    fleet.producer.note(slots)
    until(lambda: {*slots} <= {*fleet.judge.counts()}, 60, f"every slot of {entry} to have run")


def _told_clock(fleet: Fleet, host: Host) -> float:
    return abs(float(fleet.told(host)["clock"] or 0))


def _begin_and_do_not_send(fleet: Fleet, host: Host) -> list[str]:
    """Let a further worker of a host begin some effects, and stand still before the first byte."""
    order = stumble("cross.after", "hold", times=2 * UNSENT)
    worker = host.begin_worker(concurrency=2 * UNSENT, queues=APART, STUMBLE=order)
    kinds = ("strike", "sure")
    keys = [key for kind in kinds for key in fleet.producer.ask(kind, UNSENT, queue=APART)]
    host.wait_held("cross", worker, len(keys), 60)
    return keys


def _stay_in_doubt(fleet: Fleet, keys: list[str]) -> bool:
    """Return whether nothing was sent or settled for these keys."""
    return {*fleet.states(keys).values()} <= {"unknown", "held"} and not {*keys} & {*fleet.judge.counts()}


def _look_ups(fleet: Fleet, keys: list[str]) -> int:
    """Return how often each of these keys was looked up, at least."""
    asked = fleet.judge.asked()
    return min(asked.get(key, {}).get("lookups", 0) for key in keys)


def _say_gone(fleet: Fleet, host: Host) -> None:
    """Say that a host is gone; within a minute after a sign of life only somebody who is certain may."""
    name, why = str(fleet.told(host)["host"]), "its machine is gone"
    done = fleet.office.celery("gate", "host-gone", name, "--why", why, "--json")
    if done.returncode == 0:
        said = json.loads(done.stdout)
        if fleet.told(host)["silent"] <= MINUTE:
            fleet.problems.append("host-gone was not refused within a minute after a sign of life")
    else:
        said = fleet.producer.gate("host-gone", name, "--why", why, "--force")
    if not said["keys"]:
        fleet.problems.append("the host that is gone held nothing")
    if fleet.told(host)["state"] != "gone":
        fleet.problems.append("the host is not shown as gone")
