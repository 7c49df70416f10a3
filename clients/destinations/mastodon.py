"""Mastodon: one status per post.

What Mastodon guarantees, and for how long:

- A second POST with the same `Idempotency-Key` answers with the first status, for one hour, per account. The text is not
  compared. Older servers and forks check before they set, so two requests at once may both pass; some ignore the header.
- After that hour, and where the header is ignored, nothing keeps a second status out. What an account has posted can be
  read: GET /api/v1/accounts/:id/statuses, newest first, a page at a time.
- 422 is validation: refused before anything was stored.

So the header is sent always and trusted never. Before the first request that publishes, the newest status of the account
is noted, together with the text. A look-up reads every status that is newer than it: one that says what we sent is ours,
one that says nearly that is for a person, and only their absence down to the noted status proves that nothing is out.

Length is counted as Mastodon counts it: characters as people see them, a link as 23, a handle without its server. The
numbers are those of the server, which may allow more than 500.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, PositiveInt, TypeAdapter, ValidationError
from requests import HTTPError
from wcwidth import iter_graphemes

import settings
from clients.content import Post, excerpt
from clients.destinations import LookupInconclusive, Published, check, sent_note
from clients.destinations.api import MAX_SHOWN, Api, UnexpectedResponse, before_sending
from clients.destinations.sent_note import SentNote
from gatekeeper.errors import NotApplied
from gatekeeper.redact import clean

#: What a link counts where the server does not say.
PER_URL = 23
#: The largest page there is, and how many of them a look-up reads: 400 statuses since an attempt are a flood.
PAGE, MAX_PAGES = 40, 10
#: The id before all others.
NONE_YET = "0"
_NOT_FOUND, _INVALID = 404, 422

#: A link as Mastodon knows it, only narrower, so that none is counted too short: a public name, and no exotic letters.
_URL = re.compile(
    r"(?<![\w@$#.])https?://(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?"
    r"(?:/(?:[\w/#%&=+~*;:.,@?!-]*[\w/#%&=+~-])?)?",
    re.ASCII | re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![=/\w])@([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)@[\w.-]+\w", re.IGNORECASE)


class _Status(BaseModel):
    """The part of a status that is looked at; `content` is HTML."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str
    created_at: AwareDatetime
    url: str | None = None
    uri: str = ""
    content: str = ""

    @property
    def published(self) -> Published:
        return Published(published_at=self.created_at, url=self.url or self.uri, id=self.id)


class _Account(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str


class _Limits(BaseModel):
    """What a server allows; the defaults are Mastodon's own."""

    max_characters: PositiveInt = 500
    characters_reserved_per_url: PositiveInt = PER_URL


class _Configuration(BaseModel):
    statuses: _Limits = _Limits()


class _Instance(BaseModel):
    configuration: _Configuration = _Configuration()


Answer = TypeVar("Answer")
_STATUS, _STATUSES = TypeAdapter(_Status), TypeAdapter(list[_Status])
_ACCOUNT, _INSTANCE = TypeAdapter(_Account), TypeAdapter(_Instance)


def publish(post: Post) -> Published:
    """Post one status. An earlier attempt's status is found instead, if it is out by now."""
    with before_sending("Mastodon"):
        api = _api()
        account = _account(api)
        noted = sent_note.recalled()
        if noted is None or not noted.is_for(api.url, account):
            noted = _note(api, account, post)
        elif found := _found_by_now(api, noted):
            return found
    return _send(api, post, noted)


def find(post: Post) -> Published | None:  # noqa: ARG001 - what was sent was noted, whatever became of the post since
    """Look through all that the account has posted since the first attempt."""
    noted = sent_note.recalled()
    if noted is None:
        return None  # the note comes before the request
    api = _api()
    if not noted.is_for(api.url, _account(api)):
        raise LookupInconclusive(
            f"it was sent to account {noted.account} at {noted.at}, which MASTODON_* no longer names"
        )
    return _look_up(api, noted)


def length(text: str, per_url: int = PER_URL) -> int:
    """How many characters Mastodon counts."""
    shown = _HANDLE.sub(r"@\1", _URL.sub("x" * per_url, text))
    return sum(1 for _ in iter_graphemes(shown))


def _api() -> Api:
    check("mastodon")
    config = settings.current()
    return Api("Mastodon", config.mastodon_url, headers={"Authorization": f"Bearer {config.mastodon_token}"})


def _account(api: Api) -> str:
    """The id of the account that the token belongs to."""
    return _checked(_ACCOUNT, api.get("api/v1/accounts/verify_credentials")).id


def _note(api: Api, account: str, post: Post) -> SentNote:
    most, per_url = _limits(api)
    text = excerpt.excerpt(post, most, partial(length, per_url=per_url))
    newest = next(_newest_first(api, account), None)
    noted = SentNote(at=api.url, account=account, text=text, after=newest.id if newest else NONE_YET)
    noted.keep()
    return noted


def _limits(api: Api) -> tuple[int, int]:
    """How long a status may be here, and what a link counts; servers before version 4 do not say."""
    try:
        limits = _checked(_INSTANCE, api.get("api/v2/instance")).configuration.statuses
    except HTTPError as error:
        if error.response is None or error.response.status_code != _NOT_FOUND:
            raise
        limits = _Limits()
    return limits.max_characters, limits.characters_reserved_per_url


def _send(api: Api, post: Post, noted: SentNote) -> Published:
    """The one request that a reader can see the effect of."""
    try:
        answer = api.post("api/v1/statuses", {"status": noted.text}, Idempotency_Key=f"gatehouse:mastodon:{post.id}")
    except HTTPError as error:
        if error.response is not None and error.response.status_code == _INVALID:
            what = (
                f"the text of the post {post.id!r}, which Mastodon does not accept: {clean(noted.text[:MAX_SHOWN])!r}"
            )
            raise NotApplied(str(error), temporary=False, change=what) from error
        raise
    status = _checked(_STATUS, answer)
    if not _is_newer(status.id, noted.after):
        raise NotApplied(
            f"Mastodon answered with status {status.id}, which was there before: something else used this post's key "
            "within the last hour. Do not publish posts of the same name to one account from two places",
            temporary=False,
        )
    return status.published


def _found_by_now(api: Api, noted: SentNote) -> Published | None:
    """The key was freed by proof or by a person, so doubt does not stop this attempt; only the status itself does."""
    try:
        return _look_up(api, noted)
    except LookupInconclusive:
        return None


def _look_up(api: Api, noted: SentNote) -> Published | None:
    doubtful = ""
    for status in _newest_first(api, noted.account):
        if not _is_newer(status.id, noted.after):
            break
        text = sent_note.text_of_html(status.content)
        if noted.is_said_by(text):
            return status.published
        if noted.resembles(text):
            doubtful = status.url or status.id
    if doubtful:
        raise LookupInconclusive(f"{doubtful} says nearly the same; see whether it is this post")
    return None


def _newest_first(api: Api, account: str) -> Iterator[_Status]:
    """The account's own statuses down to its first one; raises LookupInconclusive if there are too many to read."""
    before: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        answer = api.get(f"api/v1/accounts/{account}/statuses", limit=str(PAGE), exclude_reblogs="true", **before)
        page = _checked(_STATUSES, answer)
        if not page:
            return
        yield from page
        before = {"max_id": page[-1].id}
    raise LookupInconclusive(f"more than {PAGE * MAX_PAGES} statuses came since; look for the post by hand")


def _is_newer(one: str, other: str) -> bool:
    """Ids grow, and are compared as Mastodon's documentation says: by length first."""
    return (len(one), one) > (len(other), other)


def _checked(schema: TypeAdapter[Answer], answer: Any) -> Answer:
    try:
        return schema.validate_python(answer)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        raise UnexpectedResponse(f"Mastodon's answer is not what it promises: {wrong['loc']} {wrong['msg']}") from None
