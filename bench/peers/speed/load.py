"""The load that other programs put on the machine during a run."""

from __future__ import annotations

import os
import time

from bench import processor


class Load:
    """Note the load average and the time that the host gave to other machines, from here to `described`."""

    def __init__(self) -> None:
        self._average = os.getloadavg()[0]
        self._began, self._stolen = time.monotonic(), processor.stolen()

    def described(self) -> str:
        """Return a sentence for below the table; the bench itself makes a load of about two."""
        had = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        share = (processor.stolen() - self._stolen) / max(had, processor.TICK)
        now = os.getloadavg()[0]
        return f"Load average {self._average:.1f} before and {now:.1f} after, {share:.1%} of the processors stolen."
