"""Threads: one container per post, and one publish of it.

What Threads guarantees, and for how long:

- A container (POST /{user}/threads) is seen by nobody. Its id is kept before it is published, and every later attempt takes
  the same one: never a second container while the first lives. It lives 24 hours, then its status is EXPIRED.
- GET /{container}?fields=status,error_message says IN_PROGRESS, FINISHED (ready), PUBLISHED, ERROR or EXPIRED.
- Whether a second publish of one container is refused is documented nowhere, so none is sent before the status and the
  account's own list (GET /{user}/threads, newest first) both say that the first one did nothing.
- A list and a status may lag. Two looks with time between them are what the gate asks for.

A container whose making fails is made again: without its id nobody can publish it. One that Threads twice says does not
exist when it is to be published (code 24, which happens to fresh ones) is given up.

Length is counted as Threads counts it: 500 characters, an emoji as its bytes in UTF-8, a link in full; at most 5 links.
"""

from __future__ import annotations

import time
import unicodedata
from datetime import UTC, datetime

from requests import HTTPError
from wcwidth import iter_graphemes

import gatekeeper
import settings
from clients.content import Post, excerpt
from clients.destinations import LookupInconclusive, Published, check, sent_note, threads_api
from clients.destinations.api import before_sending
from clients.destinations.sent_note import SentNote
from clients.destinations.threads_api import Account, Threads
from gatekeeper.errors import NotApplied
from gatekeeper.run.http_outcome import REFUSED_STATUSES, proves_nothing_was_sent

MAX_CHARACTERS, MAX_LENGTH_FACTOR = 500, 5
#: What makes a picture of the sign before it.
EMOJI_MARKS = frozenset("\ufe0f\u20e3")
#: Recovery points: the container, and the container whose publish was asked for.
CONTAINER, ASKED = "container", "asked"
#: Containers that will never be published, by themselves or by an earlier request.
DEAD = frozenset({"ERROR", "EXPIRED", threads_api.GONE})
#: Seconds between looks at a container, the last one again and again; text is ready at once, as a rule.
POLL_SECONDS = (0.5, 1.0, 2.0, 4.0)
#: Seconds that a container may take; the next attempt goes on waiting for the same one.
MAX_CONTAINER_SECONDS = 45.0
#: Seconds that have to be left for the publish itself.
MIN_REMAINING = 20.0


def publish(post: Post) -> Published:
    """Publish one container. What an earlier attempt published is found instead, if it is out by now."""
    with before_sending("Threads", threads_api.hint):
        api = _api()
        account = api.account()
        noted = sent_note.recalled()
        known = noted is not None and noted.is_for(api.url, account.id)
        container = (gatekeeper.recall(CONTAINER) or "") if known else ""
        noted = noted if noted is not None and known else _note(api, account, post)
        asked = gatekeeper.recall(ASKED) if known else None
        if asked and (found := _found_by_now(api, account, noted, asked)):
            return found
        container = _ready(api, noted, container)
        if api.left < MIN_REMAINING:
            words = f"Threads: no time is left to publish container {container}; the next attempt does"
            raise NotApplied(words, temporary=True)
        gatekeeper.keep(ASKED, container)
    return _ask(api, account, container, again=container == asked)


def find(post: Post) -> Published | None:  # noqa: ARG001 - what was sent was noted, whatever became of the post since
    """Look at the container, and through all that the account has posted since the first attempt."""
    noted, asked = sent_note.recalled(), gatekeeper.recall(ASKED)
    if noted is None or not asked:
        return None  # both are kept before the request that publishes
    api = _api()
    account = api.account()
    if not noted.is_for(api.url, account.id):
        raise LookupInconclusive(
            f"it was sent to account {noted.account} at {noted.at}, which THREADS_* no longer names"
        )
    return _look_up(api, account, noted, asked)


def length(text: str) -> int:
    """How many characters Threads counts."""
    return sum(
        len(one.encode()) if _is_emoji(one) else len(one.encode("utf-16-le")) // 2 for one in iter_graphemes(text)
    )


def _is_emoji(character: str) -> bool:
    """Whether it is a picture or is shown as one; signs that Python's Unicode does not know yet count as pictures."""
    kinds = {unicodedata.category(part) for part in character}
    return "So" in kinds or "Cn" in kinds or bool(EMOJI_MARKS & set(character))


def _api() -> Threads:
    check("threads")
    config = settings.current()
    token = {"access_token": config.threads_token}
    return Threads("Threads", config.threads_url, parameters=token, user=config.threads_user_id)


def _note(api: Threads, account: Account, post: Post) -> SentNote:
    text = excerpt.excerpt(post, MAX_CHARACTERS, length, MAX_LENGTH_FACTOR)
    newest = next(api.newest_first(account.id), None)
    noted = SentNote(at=api.url, account=account.id, text=text, after=newest.timestamp.isoformat() if newest else "")
    noted.keep()
    return noted


def _ready(api: Threads, noted: SentNote, container: str) -> str:
    """A container that can be published: the known one, or the first or next one if that is dead."""
    if not container or api.status(container) in DEAD:
        container = api.create(noted.account, noted.text)
        gatekeeper.keep(CONTAINER, container)
    end, pauses = time.monotonic() + MAX_CONTAINER_SECONDS, iter(POLL_SECONDS)
    while (status := api.status(container)) != "FINISHED":
        if status in DEAD - {threads_api.GONE}:  # a fresh one may take a moment to be found
            raise NotApplied(f"Threads: container {container} is {status}: {api.why}; the next attempt makes a new one")
        if status == "PUBLISHED":
            words = f"Threads: container {container} is PUBLISHED by now; the next attempt finds it"
            raise NotApplied(words, temporary=True)
        if time.monotonic() > end:
            words = (
                f"Threads: container {container} is {status} after {MAX_CONTAINER_SECONDS:g} s; it is taken up later"
            )
            raise NotApplied(words, temporary=True)
        time.sleep(next(pauses, POLL_SECONDS[-1]))
    return container


def _ask(api: Threads, account: Account, container: str, *, again: bool) -> Published:
    """The one request that a reader can see the effect of."""
    try:
        media = api.publish(account.id, container)
    except HTTPError as error:
        if threads_api.says_gone(error) and again:
            gatekeeper.keep(CONTAINER, "")  # twice is enough: the next attempt makes another one
        if _is_refused(error):
            known = threads_api.hint(error)
            raise NotApplied(str(error), temporary=known.temporary, change=known.change) from error
        raise
    except Exception as error:
        # The making of the container counts as a request sent; only this one could have published anything.
        if proves_nothing_was_sent(error, requests_sent=0):
            raise NotApplied(f"Threads: the publish of {container} was not sent: {error}") from error
        raise
    return _out(api, account, media)


def _is_refused(error: HTTPError) -> bool:
    status = error.response.status_code if error.response is not None else 0
    return status in REFUSED_STATUSES or threads_api.says_refused(error) or threads_api.says_gone(error)


def _out(api: Threads, account: Account, media: str) -> Published:
    """Where it is. It is out whatever happens here, so nothing that goes wrong may say otherwise."""
    try:
        return api.thread(media).published(account)
    except Exception:  # noqa: BLE001 - the log has the line of the request that failed
        return Published(published_at=datetime.now(UTC), url=account.page, id=media)


def _found_by_now(api: Threads, account: Account, noted: SentNote, container: str) -> Published | None:
    """The key was freed by proof or by a person, so doubt does not stop this attempt; only the post itself does."""
    try:
        return _look_up(api, account, noted, container)
    except LookupInconclusive:
        return None


def _look_up(api: Threads, account: Account, noted: SentNote, container: str) -> Published | None:
    doubtful = ""
    for thread in api.newest_first(account.id):
        if noted.after and thread.timestamp < datetime.fromisoformat(noted.after):
            break
        if noted.is_said_by(thread.text):
            return thread.published(account)
        if noted.resembles(thread.text):
            doubtful = thread.permalink or thread.id
    status = api.status(container)
    if status == "PUBLISHED":
        return Published(published_at=datetime.now(UTC), url=account.page, id=container)
    if doubtful:
        raise LookupInconclusive(f"{doubtful} says nearly the same; see whether it is this post")
    if status in {"FINISHED", "ERROR", "EXPIRED"}:
        return None
    raise LookupInconclusive(f"container {container} is {status}, and the post is not in the account's list")
