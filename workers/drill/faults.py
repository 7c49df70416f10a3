"""The faults of a drill. Each does its harm and returns; then the key must end, with one effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.drill.scenario import Scenario

#: More than two workers have hands for.
MANY = 10
#: How often one message is delivered again after its task is done.
AGAIN = 3


@dataclass(frozen=True)
class Fault:
    """`harm` is done to a bench. `in_doubt`: the effect happened, but without a look-up the key stays `unknown`."""

    name: str
    harm: Callable[[Scenario], None]
    in_doubt: bool = False

    def ends(self, bench: Scenario) -> tuple[str, ...]:
        """The states in which the key may stand when all is over."""
        return ("unknown",) if self.in_doubt and not bench.can_look_up else ("done",)


def lose_the_message(bench: Scenario) -> None:
    """It is registered, and nobody hears of it."""
    bench.register()


def call_at_once(bench: Scenario) -> None:
    """All of them come while the first is being sent."""
    bench.hold("applied")
    bench.call(MANY)
    bench.held("applied")
    bench.until(lambda: bench.account.seen["message"] >= MANY, f"{MANY} messages")
    bench.account.release("applied")


def deliver_while_it_runs(bench: Scenario) -> None:
    """Nothing is done here but to wait: the broker delivers by itself what is not acknowledged in time."""
    bench.hold("applied")
    bench.call()
    bench.held("applied")
    bench.until(lambda: bench.account.seen["message"] > 1, "the message to be delivered again")
    bench.account.release("applied")


def deliver_when_it_is_done(bench: Scenario) -> None:
    """As often as a confused broker likes."""
    bench.call()
    bench.until_state("done")
    before = bench.account.seen["message"]
    bench.deliver_again(AGAIN)
    bench.until(lambda: bench.account.seen["message"] >= before + AGAIN, "the message to be delivered again")


def kill_before_the_line(bench: Scenario) -> None:
    """Nothing was sent, so another worker begins anew."""
    bench.hold("before the line")
    bench.call()
    bench.kill("before the line")


def kill_when_it_is_applied(bench: Scenario) -> None:
    """Nobody is left to hear the answer."""
    bench.hold("applied")
    bench.call()
    bench.kill("applied")
    bench.account.release("applied")


def kill_while_it_is_on_its_way(bench: Scenario) -> None:
    """The effect arrives when everybody knows that its sender is dead."""
    bench.hold("arrived")
    bench.call()
    bench.kill("arrived")
    bench.until_state("unknown", "done")
    others = bench.account.seen["applied"]
    bench.account.release("arrived")
    bench.until(lambda: bench.account.seen["applied"] > others, "what was on its way to arrive")


def kill_and_lose_it(bench: Scenario) -> None:
    """It must be sent again, and only once that it did not arrive is proven, or said by a person who looked."""
    bench.account.fate("lost")
    bench.hold("arrived")
    bench.call()
    bench.kill("arrived")
    bench.account.release("arrived")
    if not bench.can_look_up:
        bench.until_state("unknown")
        bench.say_not_applied()


def lose_the_answer(bench: Scenario) -> None:
    """The effect happened, and the connection ends without a word."""
    bench.account.fate("answer lost")
    bench.call()


def cut_redis(bench: Scenario) -> None:
    """The effect happened, and its worker cannot tell Redis on the connections that it has."""
    bench.account.fate("cut")
    bench.call()
    bench.until(lambda: bench.account.seen["cut"], "the connections to be cut")


def pause_before_the_line(bench: Scenario) -> None:
    """Its lease ends while it sleeps, another worker sends; when it wakes it is refused."""
    bench.hold("before the line")
    bench.call()
    wake = bench.pause("before the line")
    bench.until_state("done")
    wake()
    bench.until(lambda: bench.account.seen["refused"], "the worker that was paused to be refused")


def pause_behind_the_line(bench: Scenario) -> None:
    """Its lease ends between the line and the first byte; when it wakes it must not send any more."""
    bench.hold("behind the line")
    bench.call()
    wake = bench.pause("behind the line")
    bench.until_state("unknown", "done")
    wake()
    bench.until(lambda: bench.account.seen["refused"], "the worker that was paused to be refused")


#: The first one takes longest and needs nobody, so it runs beside the others, and is told last.
FAULTS = (
    Fault("message lost", lose_the_message),
    Fault(f"called {MANY} times at once", call_at_once),
    Fault("message delivered again, task runs", deliver_while_it_runs),
    Fault("message delivered again, task done", deliver_when_it_is_done),
    Fault("answer lost", lose_the_answer, in_doubt=True),
    Fault("connections to Redis cut in mid-publish", cut_redis),
    Fault("worker killed before the line", kill_before_the_line),
    Fault("worker killed in mid-publish, it was applied", kill_when_it_is_applied, in_doubt=True),
    Fault("worker killed in mid-publish, it arrives late", kill_while_it_is_on_its_way, in_doubt=True),
    Fault("worker killed in mid-publish, it never arrives", kill_and_lose_it),
    Fault("worker paused before the line, then woken", pause_before_the_line),
    Fault("worker paused behind the line, then woken", pause_behind_the_line),
)
