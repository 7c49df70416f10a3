"""The faults of a drill. Each is injected into a scenario; afterwards the key must end with exactly one effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.drill.scenario import Scenario

#: Calls at once: more than the drill's workers have threads.
MANY = 10
#: How often one message is delivered again after its task is done.
REDELIVERIES = 3


@dataclass(frozen=True)
class Fault:
    """A fault, and how its key must end."""

    name: str
    inject: Callable[[Scenario], None]
    in_doubt: bool = False  #: the effect is applied, but without a look-up the key stays `unknown`

    def final_states(self, scenario: Scenario) -> tuple[str, ...]:
        """Return the states in which the key may be when the fault is over."""
        return ("unknown",) if self.in_doubt and not scenario.can_look_up else ("done",)


def lose_the_message(scenario: Scenario) -> None:
    """Register a call, and send no message; the sweeper has to send it."""
    scenario.register()


def call_at_once(scenario: Scenario) -> None:
    """Call the task many times while the first attempt is sending."""
    scenario.account.hold("applied")
    scenario.call(MANY)
    scenario.wait_until_held("applied")
    scenario.until(lambda: scenario.account.seen["message"] >= MANY, f"{MANY} messages")
    scenario.account.release("applied")


def redeliver_while_running(scenario: Scenario) -> None:
    """Hold the task until the broker delivers its unacknowledged message again by itself."""
    scenario.account.hold("applied")
    scenario.call()
    scenario.wait_until_held("applied")
    scenario.until(lambda: scenario.account.seen["message"] > 1, "the message to be delivered again")
    scenario.account.release("applied")


def redeliver_when_done(scenario: Scenario) -> None:
    """Deliver the message again after the task is done."""
    scenario.call()
    scenario.until_state("done")
    before = scenario.account.seen["message"]
    scenario.deliver_again(REDELIVERIES)
    scenario.until(
        lambda: scenario.account.seen["message"] >= before + REDELIVERIES, "the message to be delivered again"
    )


def lose_the_answer(scenario: Scenario) -> None:
    """Apply the effect, and close the connection without an answer."""
    scenario.account.set_fate("answer lost")
    scenario.call()


def cut_redis(scenario: Scenario) -> None:
    """Apply the effect, and break the worker's connections to Redis before it settles."""
    scenario.account.set_fate("cut")
    scenario.call()
    scenario.until(lambda: scenario.account.seen["cut"], "the connections to be cut")


def kill_before_the_effect(scenario: Scenario) -> None:
    """Kill the worker before its effect starts: another worker must start again."""
    scenario.account.hold("before the effect")
    scenario.call()
    scenario.kill("before the effect")


def kill_when_applied(scenario: Scenario) -> None:
    """Kill the worker after its effect is applied, before it gets the answer."""
    scenario.account.hold("applied")
    scenario.call()
    scenario.kill("applied")
    scenario.account.release("applied")


def kill_and_apply_late(scenario: Scenario) -> None:
    """Kill the worker while it sends; the effect is applied after the claim was reclaimed."""
    scenario.account.hold("arrived")
    scenario.call()
    scenario.kill("arrived")
    scenario.until_state("unknown", "done")
    before = scenario.account.seen["applied"]
    scenario.account.release("arrived")
    scenario.until(lambda: scenario.account.seen["applied"] > before, "what was on its way to arrive")


def kill_and_lose(scenario: Scenario) -> None:
    """Kill the worker while it sends; the effect is lost, and may be sent again only after a proof of absence."""
    scenario.account.set_fate("lost")
    scenario.account.hold("arrived")
    scenario.call()
    scenario.kill("arrived")
    scenario.account.release("arrived")
    if not scenario.can_look_up:
        scenario.until_state("unknown")
        scenario.resolve_not_applied()


def pause_before_the_effect(scenario: Scenario) -> None:
    """Stop the worker until its lease has ended and another worker has sent; the stopped one must be refused."""
    scenario.account.hold("before the effect")
    scenario.call()
    resume = scenario.pause("before the effect")
    scenario.until_state("done")
    resume()
    scenario.until(lambda: scenario.account.seen["refused"], "the worker that was paused to be refused")


def pause_inside_the_effect(scenario: Scenario) -> None:
    """Stop the worker after the effect starts and before its first byte, until its lease has ended; it must not send."""
    scenario.account.hold("inside the effect")
    scenario.call()
    resume = scenario.pause("inside the effect")
    scenario.until_state("unknown", "done")
    resume()
    scenario.until(lambda: scenario.account.seen["refused"], "the worker that was paused to be refused")


#: The first fault takes longest and harms no worker, so it runs beside the others and is reported last.
FAULTS = (
    Fault("message lost", lose_the_message),
    Fault(f"called {MANY} times at once", call_at_once),
    Fault("message delivered again, task runs", redeliver_while_running),
    Fault("message delivered again, task done", redeliver_when_done),
    Fault("answer lost", lose_the_answer, in_doubt=True),
    Fault("connections to Redis cut in mid-publish", cut_redis),
    Fault("worker killed before the effect", kill_before_the_effect),
    Fault("worker killed in mid-publish, it was applied", kill_when_applied, in_doubt=True),
    Fault("worker killed in mid-publish, it arrives late", kill_and_apply_late, in_doubt=True),
    Fault("worker killed in mid-publish, it never arrives", kill_and_lose),
    Fault("worker paused before the effect, then woken", pause_before_the_effect),
    Fault("worker paused inside the effect, then woken", pause_inside_the_effect),
)
