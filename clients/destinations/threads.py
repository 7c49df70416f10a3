"""Publish a post on Threads: create one container, then publish it once.

What Threads guarantees, and for how long:

- A container (POST /{user}/threads) is not visible to readers. It lives for 24 hours, then its status is EXPIRED.
- GET /{container}?fields=status,error_message returns IN_PROGRESS, FINISHED (ready), PUBLISHED, ERROR or EXPIRED.
- Whether a second publish of one container is refused is not documented.
- The status and the list of an account's posts (GET /{user}/threads, newest first) may lag; the gate asks for two look-ups
  with time between them.

Therefore the container's id is stored as a checkpoint before it is published, and every later attempt uses the same
container. A second publish is sent only after the status and the list both show that the first did nothing. A container
whose creation fails is created again, because without its id it cannot be published. A container that Threads reports
twice as missing when it is published (code 24, which happens to new ones) is replaced by another.

The limits are 500 characters and 5 links. By its documentation Threads counts the UTF-8 bytes of emojis only; its users
report that it counts those of quotation marks and accented letters too (498 characters with three curly apostrophes are
refused). Therefore the UTF-8 bytes of the whole text are counted, which fits both; a link counts in full.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from itertools import takewhile

from requests import HTTPError

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
#: Names of checkpoints: the container, and the container whose publish was requested.
CONTAINER, ASKED = "container", "asked"
#: Statuses of containers that can never be published, not even by an earlier request.
DEAD = frozenset({"ERROR", "EXPIRED", threads_api.GONE})
#: Seconds between looks at a container; the last one repeats. A text is usually ready at once.
POLL_SECONDS = (0.5, 1.0, 2.0, 4.0)
#: Seconds to wait for a container; the next attempt goes on waiting for the same one.
MAX_CONTAINER_SECONDS = 45.0
#: Seconds that must be left for the publish itself.
MIN_REMAINING = 20.0


def publish(post: Post) -> Published:
    """Publish one container, or return the post of an earlier attempt; see `Publishing`."""
    with before_sending("Threads", threads_api.hint):
        api = _api()
        account = api.account()
        noted = sent_note.recalled()
        known = noted is not None and noted.is_for(api.url, account.id)
        container = (gatekeeper.recall(CONTAINER) or "") if known else ""
        noted = noted if noted is not None and known else _note(api, account, post)
        asked = gatekeeper.recall(ASKED) if known else None
        if asked:
            with suppress(LookupInconclusive):  # proof, or a person, has freed the key already
                if found := _look_up(api, account, noted, asked):
                    return found
        container = _ready(api, noted, container)
        if api.left < MIN_REMAINING:
            message = f"Threads: no time is left to publish container {container}; the next attempt does"
            raise NotApplied(message, temporary=True)
        gatekeeper.keep(ASKED, container)
    return _send(api, account, container, again=container == asked)


def find(post: Post) -> Published | None:  # noqa: ARG001 - the note has what was sent; the post may have changed since
    """Look at the container and at the account's posts since the first attempt; see `Publishing`."""
    noted, asked = sent_note.recalled(), gatekeeper.recall(ASKED)
    if noted is None or not asked:
        return None  # both are stored before the request that publishes
    api = _api()
    account = api.account()
    noted.check_account(api.url, account.id, "THREADS_*")
    return _look_up(api, account, noted, asked)


def account() -> str:
    """Return the name of the account that the token belongs to; see `destinations.account`."""
    with before_sending("Threads", threads_api.hint):
        found = _api().account()
        return found.username or found.id


def length(text: str) -> int:
    """Return the length of a text as Threads may count it at most: its UTF-8 bytes."""
    return len(text.encode())


def _api() -> Threads:
    check("threads")
    config = settings.current()
    token = {"access_token": config.threads_token}
    return Threads("Threads", config.threads_url, parameters=token, user=config.threads_user_id)


def _note(api: Threads, account: Account, post: Post) -> SentNote:
    """Store what is about to be sent, and the time of the newest post before it."""
    text = excerpt.excerpt(post, MAX_CHARACTERS, length, MAX_LENGTH_FACTOR)
    newest = next(api.newest_first(account.id), None)
    noted = SentNote(at=api.url, account=account.id, text=text, after=newest.timestamp.isoformat() if newest else "")
    noted.keep()
    return noted


def _ready(api: Threads, noted: SentNote, container: str) -> str:
    """Return a container that can be published: the known one, or a new one if there is none or it is dead.

    Raises:
        NotApplied: the container is not ready within MAX_CONTAINER_SECONDS, or can no longer be published.

    """
    if not container or api.status(container) in DEAD:
        container = api.create(noted.account, noted.text)
        gatekeeper.keep(CONTAINER, container)
    end, pauses = time.monotonic() + MAX_CONTAINER_SECONDS, iter(POLL_SECONDS)
    while (status := api.status(container)) != "FINISHED":
        if status in DEAD - {threads_api.GONE}:  # a new container may be reported as missing for a moment
            raise NotApplied(f"Threads: container {container} is {status}: {api.why}; the next attempt makes a new one")
        if status == "PUBLISHED":
            message = f"Threads: container {container} is PUBLISHED by now; the next attempt finds it"
            raise NotApplied(message, temporary=True)
        if time.monotonic() > end:
            message = (
                f"Threads: container {container} is {status} after {MAX_CONTAINER_SECONDS:g} s; it is taken up later"
            )
            raise NotApplied(message, temporary=True)
        time.sleep(next(pauses, POLL_SECONDS[-1]))
    return container


def _send(api: Threads, account: Account, container: str, *, again: bool) -> Published:
    """Send the one request that publishes; `again` if an earlier attempt sent it for the same container."""
    try:
        media = api.publish(account.id, container)
    except HTTPError as error:
        if threads_api.says_gone(error) and again:
            gatekeeper.keep(CONTAINER, "")  # missing twice: the next attempt creates another one
        if _is_refused(error):
            known = threads_api.hint(error)
            raise NotApplied(str(error), temporary=known.temporary, change=known.change) from error
        raise
    except Exception as error:
        # The gate also counts the request that created the container, but only this one could have published anything.
        if proves_nothing_was_sent(error, requests_sent=0):
            raise NotApplied(f"Threads: the publish of {container} was not sent: {error}") from error
        raise
    return _published(api, account, media)


def _is_refused(error: HTTPError) -> bool:
    status = error.response.status_code if error.response is not None else 0
    return status in REFUSED_STATUSES or threads_api.says_refused(error) or threads_api.says_gone(error)


def _published(api: Threads, account: Account, media: str) -> Published:
    """Return where the post is. It is published already, so no error here may say otherwise."""
    try:
        return api.thread(media).published(account)
    except Exception:  # noqa: BLE001 - the log has the line of the request that failed
        return Published(published_at=datetime.now(UTC), url=account.page, id=media)


def _look_up(api: Threads, account: Account, noted: SentNote, container: str) -> Published | None:
    after = datetime.fromisoformat(noted.after) if noted.after else datetime.min.replace(tzinfo=UTC)
    newer = takewhile(lambda thread: thread.timestamp >= after, api.newest_first(account.id))
    doubt = ""
    try:
        if found := noted.search((thread.text, thread.published(account)) for thread in newer):
            return found
    except LookupInconclusive as error:
        doubt = str(error)
    status = api.status(container)
    if status == "PUBLISHED":
        return Published(published_at=datetime.now(UTC), url=account.page, id=container)
    if not doubt and status in {"FINISHED", "ERROR", "EXPIRED"}:
        return None
    raise LookupInconclusive(doubt or f"container {container} is {status}, and the post is not in the account's list")
