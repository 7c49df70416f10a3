"""Publish a post as one Mastodon status.

What Mastodon guarantees, and for how long:

- A second POST with the same `Idempotency-Key` returns the first status, for one hour, per account. The text is not
  compared. Older servers and forks check the key before they set it, so two simultaneous requests may both succeed; some
  servers ignore the header.
- After that hour, and where the header is ignored, nothing prevents a second status. The statuses of an account can be
  listed: GET /api/v1/accounts/:id/statuses, newest first, one page at a time.
- 422 is a validation error: nothing was stored.

Therefore the header is always sent and never relied on. Before the first request that publishes, the account's newest
status is noted together with the text. A look-up reads every newer status: one with the same text is ours, one with nearly
the same text is for a person to decide, and only if there is neither down to the noted status is the post proven absent.

The length is counted as Mastodon does: visible characters, a link as 23, a handle without its server. The limits are those
of the server, which may allow more than 500.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import takewhile

from pydantic import AliasPath, AwareDatetime, BaseModel, Field, PositiveInt
from requests import HTTPError
from wcwidth import iter_graphemes

import settings
from clients.content import Post, excerpt
from clients.destinations import LookupInconclusive, Published, check, sent_note
from clients.destinations.api import MAX_SHOWN, Api, Identified, before_sending
from clients.destinations.sent_note import HANDLE, SentNote
from clients.text import html
from gatekeeper.errors import NotApplied
from gatekeeper.redact import clean

#: The length of a link if the server does not say.
PER_URL = 23
#: Statuses per page, which is the maximum, and how many pages a look-up reads.
PAGE, MAX_PAGES = 40, 10
#: Sorts before every id.
NONE_YET = "0"
_NOT_FOUND, _INVALID = 404, 422
#: Where an instance's description has the limits of its statuses.
_LIMITS = ("configuration", "statuses")

#: A subset of what Mastodon takes for a link (public host name, ASCII only), so that no link is counted too short.
_URL = re.compile(
    r"(?<![\w@$#.])https?://(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?"
    r"(?:/(?:[\w/#%&=+~*;:.,@?!-]*[\w/#%&=+~-])?)?",
    re.ASCII | re.IGNORECASE,
)


class _Status(Identified):
    """The fields of a status that are used; `content` is HTML."""

    created_at: AwareDatetime
    url: str | None = None
    uri: str = ""
    content: str = ""

    @property
    def published(self) -> Published:
        return Published(published_at=self.created_at, url=self.url or self.uri, id=self.id)


class _Limits(BaseModel):
    """The limits of a server; the defaults are Mastodon's."""

    status: PositiveInt = Field(500, validation_alias=AliasPath(*_LIMITS, "max_characters"))
    per_url: PositiveInt = Field(PER_URL, validation_alias=AliasPath(*_LIMITS, "characters_reserved_per_url"))


class _Account(Identified):
    acct: str = ""


def publish(post: Post) -> Published:
    """Post one status, or return the status of an earlier attempt; see `Publishing`."""
    with before_sending("Mastodon"):
        api = _api()
        account = _account(api).id
        noted = sent_note.recalled()
        if noted is None or not noted.is_for(api.url, account):
            noted = _note(api, account, post)
        else:
            with suppress(LookupInconclusive):  # proof, or a person, has freed the key already
                if found := _look_up(api, noted):
                    return found
    return _send(api, post, noted)


def find(post: Post) -> Published | None:  # noqa: ARG001 - the note has what was sent; the post may have changed since
    """Search the account's statuses since the first attempt; see `Publishing`."""
    noted = sent_note.recalled()
    if noted is None:
        return None  # the note is stored before the request that publishes
    api = _api()
    noted.check_account(api.url, _account(api).id, "MASTODON_*")
    return _look_up(api, noted)


def account() -> str:
    """Return the name of the account that the token belongs to; see `destinations.account`."""
    with before_sending("Mastodon"):
        found = _account(_api())
        return found.acct or found.id


def length(text: str, per_url: int = PER_URL) -> int:
    """Return the length of a text as Mastodon counts it; each link counts as `per_url` characters."""
    shown = HANDLE.sub(r"@\1", _URL.sub("x" * per_url, text))
    return sum(1 for _ in iter_graphemes(shown))


def _api() -> Api:
    check("mastodon")
    config = settings.current()
    return Api("Mastodon", config.mastodon_url, headers={"Authorization": f"Bearer {config.mastodon_token}"})


def _account(api: Api) -> _Account:
    """Return the account that the token belongs to."""
    return api.parse(_Account, api.get("api/v1/accounts/verify_credentials"))


def _note(api: Api, account: str, post: Post) -> SentNote:
    """Store what is about to be sent, and the newest status before it."""
    limits = _limits(api)
    text = excerpt.excerpt(post, limits.status, partial(length, per_url=limits.per_url))
    newest = next(_newest_first(api, account), None)
    noted = SentNote(at=api.url, account=account, text=text, after=newest.id if newest else NONE_YET)
    noted.keep()
    return noted


def _limits(api: Api) -> _Limits:
    """Return the server's limits; servers before version 4 do not report them."""
    try:
        return api.parse(_Limits, api.get("api/v2/instance"))
    except HTTPError as error:
        if error.response is None or error.response.status_code != _NOT_FOUND:
            raise
        return _Limits.model_validate({})


def _send(api: Api, post: Post, noted: SentNote) -> Published:
    """Send the one request that publishes."""
    try:
        response = api.post("api/v1/statuses", {"status": noted.text}, Idempotency_Key=f"gatehouse:mastodon:{post.id}")
    except HTTPError as error:
        if error.response is not None and error.response.status_code == _INVALID:
            what = (
                f"the text of the post {post.id!r}, which Mastodon does not accept: {clean(noted.text[:MAX_SHOWN])!r}"
            )
            raise NotApplied(str(error), temporary=False, change=what) from error
        raise
    status = api.parse(_Status, response)
    if not _is_newer(status.id, noted.after):
        raise NotApplied(
            f"Mastodon answered with status {status.id}, which existed before: something else used this post's key within "
            "the last hour. Do not publish posts with the same id to one account from two places",
            temporary=False,
        )
    return status.published


def _look_up(api: Api, noted: SentNote) -> Published | None:
    newer = takewhile(lambda status: _is_newer(status.id, noted.after), _newest_first(api, noted.account))
    return noted.search((html.plain(status.content), status.published) for status in newer)


def _newest_first(api: Api, account: str) -> Iterator[_Status]:
    """Yield the account's own statuses, newest first; raises LookupInconclusive after MAX_PAGES pages."""
    before: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        response = api.get(f"api/v1/accounts/{account}/statuses", limit=str(PAGE), exclude_reblogs="true", **before)
        page = api.parse(list[_Status], response)
        if not page:
            return
        yield from page
        before = {"max_id": page[-1].id}
    raise LookupInconclusive(f"more than {PAGE * MAX_PAGES} statuses came since; look for the post by hand")


def _is_newer(one: str, other: str) -> bool:
    """Compare two ids as Mastodon documents it: by length first, then as text."""
    return (len(one), one) > (len(other), other)
