"""The part of the Threads API that publishing a text needs, and the meaning of its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import AliasPath, AwareDatetime, BaseModel, Field
from requests import HTTPError

from clients.destinations import LookupInconclusive, Published
from clients.destinations.api import Api, Hint, Identified, error_of

#: Our own status for a container that Threads does not know.
GONE = "GONE"
#: Posts per page, which is the maximum, and how many pages a look-up reads; an account may publish 250 posts a day.
PAGE, MAX_PAGES = 100, 10

#: "The requested resource does not exist".
_NO_SUCH_THING = 24
#: Meta's codes for requests that are refused before anything is done. Temporary: too many calls, and an account that is
#: blocked for a while (368). Permanent: no permission (10), an invalid parameter (100), an invalid token (190).
_REFUSALS = {
    **dict.fromkeys((4, 17, 32, 341, 368, 613), Hint(temporary=True)),
    10: Hint(temporary=False, change="the permissions of THREADS_TOKEN"),
    100: Hint(temporary=False, change="the text of the post, or THREADS_USER_ID: Threads does not accept a parameter"),
    190: Hint(temporary=False, change="THREADS_TOKEN: Threads does not accept it"),
}


class _Container(BaseModel):
    status: str
    error_message: str = "no reason given"


class Account(Identified):
    """The account that the token belongs to."""

    username: str = ""

    @property
    def page(self) -> str:
        return f"https://www.threads.com/@{self.username}"


class Thread(Identified):
    """One post as Threads lists it; a flagged post has no permalink."""

    timestamp: AwareDatetime
    text: str = ""
    permalink: str | None = None

    def published(self, account: Account) -> Published:
        return Published(published_at=self.timestamp, url=self.permalink or account.page, id=self.id)


class _Page(BaseModel):
    data: list[Thread]
    after: str | None = Field(None, validation_alias=AliasPath("paging", "cursors", "after"))


@dataclass
class Threads(Api):
    """The Threads API for the length of one publish or look-up.

    Attributes:
        user: The account's id, or `me`.
        why: The error message of the container that was last looked at.

    """

    user: str = "me"
    why: str = ""

    def account(self) -> Account:
        """Return the account that the token belongs to."""
        return self.parse(Account, self.get(self.user, fields="id,username"))

    def newest_first(self, user: str) -> Iterator[Thread]:
        """Yield the account's posts, newest first; raises LookupInconclusive after MAX_PAGES pages."""
        cursor: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            response = self.get(f"{user}/threads", fields="id,text,permalink,timestamp", limit=str(PAGE), **cursor)
            page = self.parse(_Page, response)
            yield from page.data
            if not page.data or not page.after:
                return
            cursor = {"after": page.after}
        raise LookupInconclusive(f"more than {PAGE * MAX_PAGES} posts came since; look for the post by hand")

    def thread(self, media: str) -> Thread:
        """Return one post by its id."""
        return self.parse(Thread, self.get(media, fields="id,text,permalink,timestamp"))

    def create(self, user: str, text: str) -> str:
        """Create a container, which is not visible to readers, and return its id."""
        return self.parse(Identified, self.post(f"{user}/threads", {"media_type": "TEXT", "text": text})).id

    def status(self, container: str) -> str:
        """Return a container's status: IN_PROGRESS, FINISHED, PUBLISHED, ERROR, EXPIRED, or GONE."""
        try:
            response = self.parse(_Container, self.get(container, fields="status,error_message"))
        except HTTPError as error:
            if not says_gone(error):
                raise
            return GONE
        self.why = response.error_message
        return response.status

    def publish(self, user: str, container: str) -> str:
        """Publish a container, and return the id of the post."""
        return self.parse(Identified, self.post(f"{user}/threads_publish", {"creation_id": container})).id


def says_gone(error: HTTPError) -> bool:
    """Return whether Threads does not know the container."""
    return _code(error) == _NO_SUCH_THING


def says_refused(error: HTTPError) -> bool:
    """Return whether Threads refused a request before it did anything."""
    return error.response is not None and error.response.status_code == 400 and _code(error) in _REFUSALS  # noqa: PLR2004


def hint(error: HTTPError) -> Hint:
    """Say what a refusal means for the next attempt; Meta answers 400 to nearly everything, so its error code decides."""
    return Hint(temporary=True) if says_gone(error) else _REFUSALS.get(_code(error), Hint())


def _code(error: HTTPError) -> int:
    """Return Meta's code of an error; 0 if it has none."""
    body = error_of(error.response)
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else 0
