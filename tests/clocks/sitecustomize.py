"""A wrong clock for one process, set before anything else runs: put this folder on its PYTHONPATH, and CLOCK_SHIFT beside it.

The monotonic clock stays, as it does on a machine whose clock is set.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any

SHIFT = float(os.environ.get("CLOCK_SHIFT", "0"))

_time, _gmtime, _localtime, _datetime = time.time, time.gmtime, time.localtime, dt.datetime


def now() -> float:
    return _time() + SHIFT


class Instances(type):
    """What C code makes is a datetime, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class Shifted(_datetime, metaclass=Instances):  # type: ignore[misc,valid-type]
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(now(), dt.UTC).replace(tzinfo=None)


time.time = now
time.time_ns = lambda: int(now() * 1e9)
time.gmtime = lambda seconds=None: _gmtime(now() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(now() if seconds is None else seconds)
dt.datetime = Shifted  # type: ignore[misc]
