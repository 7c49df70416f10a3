"""The part of the Threads API that publishing one text needs, and what its errors say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from requests import HTTPError

from clients.destinations import LookupInconclusive, Published
from clients.destinations.api import Api, Hint, UnexpectedResponse, error_of

Schema = TypeVar("Schema", bound=BaseModel)

#: The status of a container that Threads does not know, or does not know any more; ours, not theirs.
GONE = "GONE"
#: The largest page there is, and how many of them a look-up reads; an account may publish 250 posts a day.
PAGE, MAX_PAGES = 100, 10

#: "The requested resource does not exist".
_NO_SUCH_THING = 24
#: Meta's codes for what is refused at the door: too many calls, and an account that is blocked for a while (368); these
#: pass. No permission (10), a parameter that is not accepted (100), a token that is not valid (190); these do not.
_PASSING = frozenset({4, 17, 32, 341, 368, 613})
_PERMISSION, _PARAMETER, _TOKEN = 10, 100, 190
_REFUSALS = _PASSING | {_PERMISSION, _PARAMETER, _TOKEN}


class _Made(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str


class _Container(BaseModel):
    status: str
    error_message: str = "no reason given"


class Account(_Made):
    """Who the token belongs to."""

    username: str = ""

    @property
    def page(self) -> str:
        return f"https://www.threads.com/@{self.username}"


class Thread(_Made):
    """One post as Threads lists it; a post that was flagged has no permalink."""

    timestamp: AwareDatetime
    text: str = ""
    permalink: str | None = None

    def published(self, account: Account) -> Published:
        return Published(published_at=self.timestamp, url=self.permalink or account.page, id=self.id)


class _Cursors(BaseModel):
    after: str | None = None


class _Paging(BaseModel):
    cursors: _Cursors = _Cursors()


class _Page(BaseModel):
    data: list[Thread]
    paging: _Paging = _Paging()


@dataclass
class Threads(Api):
    """One conversation with Threads; `user` is the account's id or `me`, `why` what it last said of a container."""

    user: str = "me"
    why: str = ""

    def account(self) -> Account:
        return _checked(Account, self.get(self.user, fields="id,username"))

    def newest_first(self, user: str) -> Iterator[Thread]:
        """Every post of the account; raises LookupInconclusive if there are too many to read."""
        more: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            answer = self.get(f"{user}/threads", fields="id,text,permalink,timestamp", limit=str(PAGE), **more)
            page = _checked(_Page, answer)
            yield from page.data
            if not page.data or not page.paging.cursors.after:
                return
            more = {"after": page.paging.cursors.after}
        raise LookupInconclusive(f"more than {PAGE * MAX_PAGES} posts came since; look for the post by hand")

    def thread(self, media: str) -> Thread:
        return _checked(Thread, self.get(media, fields="id,text,permalink,timestamp"))

    def create(self, user: str, text: str) -> str:
        """Make a container, which nobody sees."""
        return _checked(_Made, self.post(f"{user}/threads", {"media_type": "TEXT", "text": text})).id

    def status(self, container: str) -> str:
        """IN_PROGRESS, FINISHED, PUBLISHED, ERROR, EXPIRED, or GONE."""
        try:
            found = _checked(_Container, self.get(container, fields="status,error_message"))
        except HTTPError as error:
            if not says_gone(error):
                raise
            return GONE
        self.why = found.error_message
        return found.status

    def publish(self, user: str, container: str) -> str:
        """Publish it, and answer the id of the post that is out."""
        return _checked(_Made, self.post(f"{user}/threads_publish", {"creation_id": container})).id


def says_gone(error: HTTPError) -> bool:
    """Whether Threads does not know the container."""
    return bool(_code(error) == _NO_SUCH_THING)


def says_refused(error: HTTPError) -> bool:
    """Whether Threads refused a request before it did anything."""
    return error.response is not None and error.response.status_code == 400 and _code(error) in _REFUSALS  # noqa: PLR2004


def hint(error: HTTPError) -> Hint:
    """What a refusal by Threads means for the next try: Meta answers 400 to nearly everything, and says more in its code."""
    code = _code(error)
    if code in _PASSING or code == _NO_SUCH_THING:
        return Hint(temporary=True)
    if code == _TOKEN:
        return Hint(temporary=False, change="THREADS_TOKEN: Threads does not accept it")
    if code == _PERMISSION:
        return Hint(temporary=False, change="the permissions of THREADS_TOKEN")
    if code == _PARAMETER:
        return Hint(
            temporary=False, change="the text of the post, or THREADS_USER_ID: Threads does not accept a parameter"
        )
    return Hint()


def _code(error: HTTPError) -> object:
    told = error_of(error)
    return told.get("code") if isinstance(told, dict) else None


def _checked(schema: type[Schema], answer: Any) -> Schema:
    try:
        return schema.model_validate(answer)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        raise UnexpectedResponse(f"Threads' answer is not what it promises: {wrong['loc']} {wrong['msg']}") from None
