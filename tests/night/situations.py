"""The fourteen situations: how each is produced, and what the one command must say about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.install import ROOT
from tests.harness.polling import until
from tests.models import server as models
from tests.night.house import House
from tests.providers.server import applies_and_hangs_up, says
from tests.torture.tmpfs import Disk

#: A command that can be pasted, or the plain word that there is nothing to do.
A_COMMAND = r"gatehouse [a-z-]+|gate [a-z-]+|make up|kill -|systemctl"
OPERATIONS = ROOT / "docs" / "operations"


@dataclass(frozen=True)
class Situation:
    """One situation.

    Attributes:
        name: What the page calls it, in `<!-- situation: NAME -->`.
        page: The page in docs/operations, whose first command must show it.
        cause: What the output must have to name the cause, as a pattern.
        next: What it must have to say what to do next.
        produce: Bring a fresh house into it.

    """

    name: str
    page: str
    cause: str
    next: str
    produce: Callable[[House], None]

    @property
    def command(self) -> str:
        """The command below "Look" of the page."""
        text = (OPERATIONS / f"{self.page}.md").read_text()
        found = re.search(r"^## Look$.*?^\$ (.+?)$", text, re.MULTILINE | re.DOTALL)
        assert found, self.page
        return found[1]


SITUATIONS: dict[str, Situation] = {}


def situation(
    name: str, page: str, *, cause: str, then: str = A_COMMAND
) -> Callable[[Callable[[House], None]], Callable[[House], None]]:
    """Register how a situation is produced."""

    def register(produce: Callable[[House], None]) -> Callable[[House], None]:
        SITUATIONS[name] = Situation(name, page, cause, then, produce)
        return produce

    return register


@situation("duplicate", "duplicate-refused", cause="replay|same key|already", then=rf"[Nn]othing|{A_COMMAND}")
def duplicate(house: House) -> None:
    """A post is submitted again after it was published."""
    house.up()
    house.wait_for_state("publish:feed:state-at-3am", "done")
    house.publish("state-at-3am", "feed")
    house.wait_for_event("publish:feed:state-at-3am", "replayed")


@situation("limited", "limited", cause="rate limited|10/hour", then=rf"by itself|retry_after|{A_COMMAND}")
def limited(house: House) -> None:
    """Twelve posts are due, and ten an hour are allowed."""
    house.posts(12)
    house.up()
    house.wait_for_state("publish:feed:post-9", "done", "waiting")
    for post in ("post-11", "post-12"):
        house.publish(post, "feed")
    house.wait_for_state("publish:feed:post-12", "waiting")


@situation("breaker", "breaker-open", cause="breaker open")
def breaker(house: House) -> None:
    """Mastodon answers 500 to three posts; the fourth meets the open breaker. It cools down for 20 s instead of 5 min."""
    house.change("tasks/publisher.py", 'cooldown="5m"', 'cooldown="20s"')
    house.posts(3, "mastodon")
    house.use_mastodon()
    house.mastodon.refuses[""] = says(500)
    house.up()
    for post in ("post-1", "post-2", "post-3"):
        house.wait_for_state(f"publish:mastodon:{post}", "waiting", "rejected")
    house.posts(4, "mastodon")
    house.publish("post-4", "mastodon")
    house.wait_for_state("publish:mastodon:post-4", "waiting", "rejected")


@situation("cap", "cap-reached", cause="cap 2/day reached|2/day", then=r"resume publisher")
def cap(house: House) -> None:
    """The publisher may publish two posts a day, and three are due."""
    house.posts(3)
    house.change("tasks/publisher.py", 'cap="30/day"', 'cap="2/day"')
    house.up()
    house.wait_until_it_says("status publisher", "PAUSED|paused")


@situation("unknown", "unknown", cause="in doubt|unknown", then=rf"look|{A_COMMAND}")
def unknown(house: House) -> None:
    """Mastodon publishes and hangs up, and then its list cannot be read."""
    house.posts(1, "mastodon")
    house.use_mastodon()

    def hang_up_for_good(publish: object) -> None:
        house.mastodon.refuses["/statuses"] = says(500)
        applies_and_hangs_up(publish)  # type: ignore[arg-type]

    house.mastodon.will(hang_up_for_good)
    house.up()
    house.wait_for_state("publish:mastodon:post-1", "unknown")


@situation("held", "held", cause="20 look-ups, and no proof", then="explain publish:mastodon:post-1")
def held(house: House) -> None:
    """As `unknown`, with look-ups a second apart instead of a minute; twenty of them prove nothing."""
    house.change("tasks/publisher.py", "Effect(verify=find_post,", 'Effect(verify=find_post, drain="1s", every="1s",')
    unknown(house)
    house.wait_for_state("publish:mastodon:post-1", "held", deadline=120)


@situation("store lost", "store-lost", cause="Redis lost its data", then="recover")
def store_lost(house: House) -> None:
    """Somebody runs FLUSHALL."""
    house.up()
    house.wait_for_state("publish:feed:state-at-3am", "done")
    house.run('.venv/bin/python -c "from state.redis import client; client.client().flushall()"')
    house.wait_until_it_says("status", "EFFECTS CLOSED|closed")


@situation("worker stopped", "worker-stopped", cause="worker.*stopped or stuck", then="kill -")
def worker_stopped(house: House) -> None:
    """The worker's process is stopped, as by a debugger."""
    house.up()
    stop(house, " worker ")
    house.wait_until_it_says("status", "SILENT|silent")


@situation("beat stopped", "beat-stopped", cause="beat.*stopped or stuck", then="kill -")
def beat_stopped(house: House) -> None:
    """The same of beat."""
    house.up()
    stop(house, " beat ")
    house.wait_until_it_says("status", "SILENT|silent")


@situation("tick missed", "tick-missed", cause="not started|missed|overdue|OVERDUE", then=A_COMMAND)
def tick_missed(house: House) -> None:
    """Beat started the publisher once, and then never ran again."""
    house.change("beat_schedule.py", '"publish": {"cron": "*/30 * * * *"', '"publish": {"cron": "*/2 * * * *"')
    house.up()
    house.wait_for_state("publish:feed:state-at-3am", "done")
    lines = (house.root / "Procfile").read_text().splitlines(keepends=True)
    house.write("no-beat", "".join(line for line in lines if not line.startswith("beat:")))
    house.up([".venv/bin/python", "-m", "deploy.up", "--procfile", "no-beat"])
    house.wait_until_it_says("status", "OVERDUE|overdue", deadline=180)


@situation(
    "model down", "model-down", cause="groq.*(500|5xx|answers? with)|500.*groq", then=rf"GROQ_|by itself|{A_COMMAND}"
)
def model_down(house: House) -> None:
    """The provider answers 500 to everything."""
    house.models.will(models.sends(500, {"error": {"message": "the model is overloaded"}}))
    house.env |= {"GROQ_URL": house.models.url, "GROQ_API_KEY": "gsk-night", "GROQ_MODEL": "some-model"}
    house.up()
    until(lambda: house.models.asked, 60, "the writer to ask the model")
    until(lambda: list((house.root / "content" / "drafts").glob("*.md")), 60, "the draft")


#: The journal's own last page has room for some records: calls of a key that is done take it.
FILL_LAST_PAGE = """
import workers
from tasks.publisher import publish
for _ in range(60):
    publish.delay(post_id='state-at-3am', destination='feed')
"""


@situation("disk full", "disk-full", cause="No space left on device", then="free")
def disk_full(house: House) -> None:
    """The journal's disk is full."""
    house.disk = Disk(house.root / "var" / "journal", 256)
    house.up()
    house.wait_for_state("publish:feed:state-at-3am", "done")
    house.disk.fill()
    house.run(f'.venv/bin/python -c "{FILL_LAST_PAGE}"')


@situation("wrong token", "wrong-token", cause="401.*|access token", then="MASTODON_TOKEN")
def wrong_token(house: House) -> None:
    """The token was revoked."""
    house.posts(1, "mastodon")
    house.use_mastodon(token="revoked")
    house.up()
    house.wait_for_state("publish:mastodon:post-1", "rejected")


@situation("broken post", "broken-post", cause="oops.*", then=rf"quote|correct|{A_COMMAND}")
def broken_post(house: House) -> None:
    """A title begins with a number sign, which YAML takes for a comment."""
    house.write("content/oops.md", "---\nid: oops\ntitle: #1 reason\npublish_at: 2026-11-11T09:00:00Z\n---\nText.\n")
    house.up()
    until(lambda: "oops" in (house.root / "var" / "agents" / "publisher.json").read_text(), 60, "the broken post")


def stop(house: House, word: str) -> None:
    """Stop the processes that have this word in their command line."""
    found = house.processes(word)
    assert found, word
    for process in found:
        process.suspend()
