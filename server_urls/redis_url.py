"""The URL of a Redis server, from `REDIS_URL` or `BROKER_URL`, in one form that every client understands.

redis-py, kombu, Celery's results and Flower read such URLs differently: with a password or a database in the query, a
missing port, or an option that only one of them knows, `gate status` could answer while the worker cannot log in. So a URL
is parsed once, here, and written in one form; a URL that cannot be given to all of them is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, quote, urlencode

from server_urls import redis_options as parts_of
from server_urls.redis_options import DEFAULT_PORT
from server_urls.url_parts import MAX_PORT, UnusableUrl

__all__ = ["DEFAULT_PORT", "MAX_PORT", "RedisUrl", "UnusableUrl", "read"]

#: The port of a sentinel that names none.
SENTINEL_PORT = 26379

#: The schemes that redis-py and kombu accept, and the one that each is written as.
_SCHEMES = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+socket": "unix",
    "redis+unix": "unix",
    "valkey+socket": "unix",
    "sentinel": "sentinel",
    "sentinels": "sentinels",
    "redis+cluster": "redis+cluster",
    "rediss+cluster": "rediss+cluster",
    "valkey+cluster": "redis+cluster",
    "valkeys+cluster": "rediss+cluster",
}
#: Schemes that other programs use for a cluster, and that do not say whether it has TLS.
_OTHER_CLUSTER = frozenset({"rediscluster", "redis-cluster"})
#: Schemes with TLS.
_WITH_TLS = frozenset({"rediss", "sentinels", "rediss+cluster"})
#: Options of sentinels; they may have a login of their own.
_OF_SENTINELS = ("master", "sentinel_username", "sentinel_password")


@dataclass(frozen=True)
class RedisUrl:
    """A server at `host` and `port` or at `path`, the one that `sentinels` call `master`, or the cluster that `nodes` belong to.

    It has TLS if `tls` is not None.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: Mapping[str, str] | None = None
    sentinels: Sequence[tuple[str, int]] = ()
    master: str = ""
    sentinel_username: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)
    nodes: Sequence[tuple[str, int]] = ()

    def __str__(self) -> str:
        """Return the URL for `state.redis.opening`, with every part written out."""
        if self.path:
            return f"unix://{self._login}{quote(self.path)}?db={self.database}"
        given = {name: getattr(self, name) for name in _OF_SENTINELS if getattr(self, name)} | dict(self.tls or {})
        options = f"?{urlencode(given)}" if given else ""
        return f"{self._scheme}://{self._login}{self._place}/{self.database}{options}"

    @property
    def for_kombu(self) -> str:
        """The URL for Celery's broker, its results and Flower; `ssl_options` and the options of sentinels go beside it."""
        if self.path:
            return f"redis+socket://{self._login}{quote(self.path)}?virtual_host={self.database}"
        if self.sentinels:  # kombu may go on with any of these, and forgets then what only the first one says
            return ";".join(f"sentinel://{self._login}{_place(*each)}/{self.database}" for each in self.sentinels)
        return f"{self._scheme}://{self._login}{self._place}/{self.database}"

    @property
    def ssl_options(self) -> dict[str, Any] | None:
        """The options of TLS as kombu and Celery take them, or None without TLS."""
        if self.tls is None:
            return None
        options: dict[str, Any] = dict(self.tls)
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
        return options

    @property
    def sentinel_options(self) -> dict[str, Any]:
        """The login and the options of TLS of a connection to a sentinel, as every client takes them."""
        login = {"username": self.sentinel_username, "password": self.sentinel_password}
        tls = {"ssl": True, **(self.ssl_options or {})} if self.tls is not None else {}
        return {name: value for name, value in login.items() if value} | tls

    @property
    def address(self) -> str:
        """The URL without its login and its options, for messages."""
        return f"unix://{self.path}" if self.path else f"{self._scheme}://{self._place}"

    @property
    def _scheme(self) -> str:
        plain = "sentinel" if self.sentinels else "redis"
        return (plain if self.tls is None else f"{plain}s") + ("+cluster" if self.nodes else "")

    @property
    def _place(self) -> str:
        return ",".join(_place(*each) for each in self.sentinels or self.nodes or ((self.host, self.port),))

    @property
    def _login(self) -> str:
        if not self.username and not self.password:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"


def read(url: str) -> RedisUrl:
    """Parse a URL in any form that redis-py accepts, or one of sentinels or of a cluster.

    Raises:
        UnusableUrl: not every client could use it.

    """
    scheme = _scheme_of(url)
    if scheme in {"sentinel", "sentinels"}:
        return _read_sentinels(url, scheme)
    if scheme.endswith("+cluster"):
        return _read_cluster(url, scheme)
    parts = parts_of.split(url)
    return _read_one(parts, parts_of.options(parts), scheme)


def _scheme_of(url: str) -> str:
    written = url.partition("://")[0].lower()
    if written in _OTHER_CLUSTER:
        raise UnusableUrl("does not say whether the cluster has TLS; write redis+cluster:// or rediss+cluster://")
    if written not in _SCHEMES or "://" not in url:
        raise UnusableUrl(
            "must start with redis://, rediss://, unix://, sentinel:// or redis+cluster://; "
            "for example redis://127.0.0.1:6379/0"
        )
    return _SCHEMES[written]


def _read_one(parts: SplitResult, options: dict[str, str], scheme: str) -> RedisUrl:
    found = RedisUrl(
        username=parts_of.login(parts.username, options, "username"),
        password=parts_of.login(parts.password, options, "password"),
    )
    if found.username and not found.password:
        raise UnusableUrl("names a user and no password; write the password as redis://:PASSWORD@host, with the colon")
    if scheme == "unix":
        found = replace(found, path=parts_of.path(parts), database=parts_of.database(options, ""))
    else:
        database = parts_of.database(options, parts.path)
        found = replace(found, host=parts_of.host(parts), port=parts.port or DEFAULT_PORT, database=database)
    if scheme in _WITH_TLS:
        return replace(found, tls=parts_of.tls(options))
    if named := sorted(parts_of.TLS.intersection(options)):
        raise UnusableUrl(f"has the option {named[0]}, which needs TLS; begin the URL with {_with_tls(scheme)}://")
    return found


def _with_tls(scheme: str) -> str:
    """Return the scheme with TLS; a Unix socket has none, so that the option is to be removed there."""
    kind, plus, more = scheme.partition("+")
    return f"{kind}s{plus}{more}"


def _read_sentinels(url: str, scheme: str) -> RedisUrl:
    """Parse a URL of sentinels: with commas between them, or as kombu writes it, each with the scheme before it."""
    each, parts = _split_all(url, "sentinel")
    options = parts_of.options(parts, _OF_SENTINELS)
    master, username, password = (options.pop(name, "") for name in _OF_SENTINELS)
    if not master:
        raise UnusableUrl(
            "names sentinels and not what they watch; add the name of `sentinel monitor`, such as ?master=gate"
        )
    if username and not password:
        raise UnusableUrl("has a sentinel_username and no sentinel_password; write both")
    return replace(
        _read_one(parts, options, scheme),
        host="",
        port=DEFAULT_PORT,
        sentinels=tuple((parts_of.host(one), one.port or SENTINEL_PORT) for one in each),
        master=master,
        sentinel_username=username,
        sentinel_password=password,
    )


def _read_cluster(url: str, scheme: str) -> RedisUrl:
    """Parse a URL of some nodes of a cluster, with commas between them; they name the others."""
    each, parts = _split_all(url, "node")
    found = _read_one(parts, parts_of.options(parts), scheme)
    if found.database:
        raise UnusableUrl("names a database of a cluster, which has none but 0; write /0 at its end")
    nodes = tuple((parts_of.host(one), one.port or DEFAULT_PORT) for one in each)
    return replace(found, host="", port=DEFAULT_PORT, nodes=nodes)


def _split_all(url: str, what: str) -> tuple[list[SplitResult], SplitResult]:
    """Return the parts of each server of a list, and of the first one with what comes after them all."""
    places, rest = _split_list(url)
    each = [parts_of.split(f"redis://{place}") for place in places]
    parts = parts_of.split(f"redis://{places[0]}{rest}")
    if any((one.username, one.password) not in {(None, None), (parts.username, parts.password)} for one in each):
        raise UnusableUrl(f"has a login before a later {what}; write it once, before the first one")
    return each, parts


def _split_list(url: str) -> tuple[list[str], str]:
    """Return each server of a list, the first one with the login, and what comes after them."""
    scheme, _, text = url.partition("://")
    places, rest = [], ""
    for one in text.split(";"):
        netloc, after = _cut(one.removeprefix(f"{scheme}://"))
        login, at, hosts = netloc.rpartition("@")
        first, *more = hosts.split(",")
        places += [f"{login}{at}{first}", *more]
        if not (after.startswith(rest) or rest.startswith(after)):
            raise UnusableUrl("names several databases or options; write them once, at its end")
        rest = max(rest, after, key=len)
    return places, rest


def _cut(text: str) -> tuple[str, str]:
    """Return what stands before the path and the options, and these."""
    end = min((at for at in map(text.find, "/?#") if at >= 0), default=len(text))
    return text[:end], text[end:]


def _place(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{name}:{port}"
