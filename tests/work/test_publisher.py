"""The publisher works through a folder of other people's posts, and tells what it does not publish."""

from __future__ import annotations

import json
from typing import Any

from tests.unit import posts_of_others
from tests.work.agents import Agents


def run(agents: Agents) -> dict[str, Any]:
    return dict(agents.run("tasks.publisher.publish_next")["result"])


def test_a_folder_of_others_posts_is_published_or_told(alone: Agents) -> None:
    posts_of_others.write(alone.install.content_dir)

    answer = run(alone)

    assert len(answer["submitted"]) == 10
    broken, skipped = alone.fact("publisher", "broken"), alone.fact("publisher", "skipped")
    assert len(broken) == 26
    assert "more files" in broken["more"]
    assert "`draft: true`" in skipped["parked.md"]
    assert "destinations: is empty" in skipped["nowhere.md"]
    assert len(json.dumps([broken, skipped])) < 16_000


def test_a_post_that_goes_nowhere_is_told(alone: Agents) -> None:
    header = "---\ntitle: T\npublish_at: 2026-11-01\ndestinations: {}\n---\nText.\n"
    names = {"nowhere": "[]", "unknown": "[feed, fed]", "not-in-use": "mastodon", "well": "feed"}
    for name, value in names.items():
        (alone.install.content_dir / f"{name}.md").write_text(header.replace("{}", value))

    answer = run(alone)

    broken, skipped = alone.fact("publisher", "broken"), alone.fact("publisher", "skipped")
    assert [each for each in answer["submitted"] if each.split(":")[1] in names] == ["feed:unknown", "feed:well"]
    assert "'fed' is not a destination" in broken["unknown"]
    assert "none of its destinations (mastodon) is in PUBLISH_TO" in skipped["not-in-use"]
    assert "the post goes nowhere" in skipped["nowhere.md"]
    refused = alone.run("tasks.publisher.publish", post_id="nowhere", destination="feed")
    assert "the post goes nowhere" in refused["error"]


def well_written(agents: Agents) -> None:
    (agents.install.content_dir / "well.md").write_text("---\ntitle: T\npublish_at: 2026-11-01\n---\nText.\n")


def test_a_publisher_that_observes_submits_a_post_once_and_again_when_it_may_act(alone: Agents) -> None:
    well_written(alone)
    alone.shell.gate("autonomy", "publisher", "observe", "--why", "to see")

    assert run(alone)["submitted"] == ["feed:well"]
    assert alone.run("tasks.publisher.publish", post_id="well", destination="feed")["error"] == "observed"
    assert run(alone)["submitted"] == []
    assert not list(alone.install.public_dir.glob("posts/*"))
    assert alone.shell.gate("status", "publisher")[0]["errors"] == []

    alone.shell.gate("autonomy", "publisher", "act", "--why", "good")
    assert run(alone)["submitted"] == ["feed:well"]
    assert alone.run("tasks.publisher.publish", post_id="well", destination="feed")["ok"]


def test_a_publisher_that_asks_publishes_the_post_as_a_person_edited_it(alone: Agents) -> None:
    well_written(alone)
    alone.shell.gate("autonomy", "publisher", "ask", "--why", "new author")
    publish = {"post_id": "well", "destination": "feed"}
    assert alone.run("tasks.publisher.publish", **publish)["error"] == "waits for approval"
    assert run(alone)["submitted"] == []
    [waiting] = alone.shell.gate("held")
    assert (waiting["kind"], waiting["payload"]["title"]) == ("approval", "T")
    file = alone.install.folder / "well.json"
    file.write_text(json.dumps(waiting["payload"] | {"title": "A better title"}))

    alone.shell.gate("revise", waiting["key"], "--payload", str(file), "--why", "T says nothing")

    assert alone.run("tasks.publisher.publish", **publish)["ok"]
    assert "A better title" in (alone.install.public_dir / "feed.xml").read_text()
