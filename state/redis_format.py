"""The format of what Redis holds: a number that every process compares at its start and with each report that it is alive."""

from __future__ import annotations

from state.redis import client

#: Raise it when older code would misread what this code writes. A Redis without a number has format 1.
FORMAT = 1


class NewerRedisFormat(client.StoreError):  # type: ignore[misc]  # mypy does not see redis-py's types
    """Raised for a Redis that a newer version of Gatehouse wrote: what it holds must not be guessed."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"Redis holds data of format {found}, and this version of Gatehouse reads up to format {FORMAT}; "
            "start the version that wrote it, or a newer one"
        )


def key() -> str:
    """string: the format of everything that Gatehouse keeps in this Redis"""  # noqa: D401 - the Redis type
    return "gate:{house}:format"


def check() -> None:
    """Compare the format of this process's Redis with ours, and write ours into a Redis that has none.

    Raises:
        NewerRedisFormat: A newer version wrote the data.
        StoreError: Redis does not answer.

    """
    with client.client().pipeline(transaction=False) as pipe:
        _, found = pipe.set(key(), FORMAT, nx=True).get(key()).execute()
    compare(int(found))


def check_at_start() -> None:
    """Exit with one sentence if a newer version wrote what Redis holds; a Redis that is away is compared later."""
    try:
        check()
    except NewerRedisFormat as error:
        raise SystemExit(f"gatehouse: {error}") from None
    except client.StoreError:
        return


def compare(found: int) -> None:
    """Raise NewerRedisFormat if a newer version wrote the format that was found."""
    if found > FORMAT:
        raise NewerRedisFormat(found)
