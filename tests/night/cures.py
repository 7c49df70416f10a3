"""From the alert to the cure: what rings in each situation, what a person then does, and what shows that it helped."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.polling import until
from tests.night.house import GATE, House

#: Seconds for which an alert is waited for; a person sleeps meanwhile, so this is not part of the minute.
ALERT_SECONDS = 120.0
KEY = "publish:mastodon:post-1"


@dataclass(frozen=True)
class Cure:
    """One situation's alert and cure.

    Attributes:
        alert: A pattern of the alert's title; empty if none comes.
        silence: Why none comes.
        text: What the person does, for the table.
        act: Do it, and wait until it has helped.

    """

    alert: str
    silence: str
    text: str
    act: Callable[[House], None]


def nothing(house: House) -> None:
    """Let it be: there is nothing to cure."""


def look(house: House, command: str, pattern: str) -> None:
    house.wait_until_it_says(command, pattern)


def all_is_over(house: House, words: str) -> None:
    """Wait for the alert that says that it is over."""
    house.phone.wait_for(f"Over: {words}")


def mastodon_works_again(house: House) -> None:
    house.mastodon.reset()

    def is_over() -> bool:
        typed(house, f"{GATE} run publish")
        return bool(house.phone.told("Over: The breaker"))

    until(is_over, 60, "the breaker to close")


def resume(house: House) -> None:
    typed(house, f"{GATE} resume publisher")
    typed(house, f"{GATE} run publish")
    house.wait_for_state("publish:feed:post-3", "done")


def resolve(house: House) -> None:
    typed(house, f'{GATE} resolve {KEY} --applied --why "it is on the account"')
    house.wait_for_state(KEY, "done")


def recover(house: House) -> None:
    typed(house, f"{GATE} recover")
    all_is_over(house, "Effects are closed")


def kill_the_worker(house: House) -> None:
    _kill(house, " worker ")


def kill_beat(house: House) -> None:
    _kill(house, " beat ")


def start_beat(house: House) -> None:
    house.up()
    look(house, "status --json", r'"overdue": \[\]')


def free_space(house: House) -> None:
    (house.root / "var" / "journal" / "filler").unlink()
    all_is_over(house, "The disk")


def typed(house: House, command: str) -> None:
    done = house.run(command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _kill(house: House, word: str) -> None:
    """Kill the stuck processes, as the page says; the supervisor starts others."""
    for process in house.processes(word):
        process.kill()
    kind = word.strip()

    def alive_again() -> bool:
        status = house.run(f"{GATE} status").stdout
        return re.search(rf"[1-9] {kind}\b.* alive", status) is not None and "SILENT" not in status

    until(alive_again, 60, f"another {kind}")


_BY_ITSELF = "`make up` kills a stuck process after two minutes and starts another; rings after three if it could not"

CURES: dict[str, Cure] = {
    "duplicate": Cure("", "the gate's daily work", "nothing", nothing),
    "limited": Cure("", "runs by itself at its turn", "nothing", nothing),
    "breaker": Cure(
        "The breaker of .*mastodon", "", "when Mastodon answers: `gatehouse run publish`", mastodon_works_again
    ),
    "cap": Cure("is paused: cap 2/day", "", "`gatehouse resume publisher`, `gatehouse run publish`", resume),
    "unknown": Cure(f"{KEY} is in doubt", "", f"`gatehouse resolve {KEY} --applied --why …`", resolve),
    "held": Cure(f"{KEY} is held", "", f"`gatehouse resolve {KEY} --applied --why …`", resolve),
    "store lost": Cure("Effects are closed", "", "`gatehouse recover`", recover),
    "worker stopped": Cure("", _BY_ITSELF, "`kill -9 PID`", kill_the_worker),
    "beat stopped": Cure("", _BY_ITSELF, "`kill -9 PID`", kill_beat),
    "tick missed": Cure("publish was due", "", "start beat: `make up`", start_beat),
    "model down": Cure("The model groq", "", "wait, or change `GROQ_API_KEY`; drafts are made by rules", nothing),
    "disk full": Cure("The disk of", "", "free some space", free_space),
    "wrong token": Cure(
        "", "the post is rejected; `gatehouse status` and the report tell it", "correct `MASTODON_TOKEN`", nothing
    ),
    "broken post": Cure("", "`gatehouse status` and the report tell it", "correct the file", nothing),
}
