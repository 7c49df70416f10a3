"""`python -m bench.peers.adapters.door MODULE`: calls one peer's task for each key that comes on a line of stdin.

It says `ready` once, then for each line either `called` or what the peer raised.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable


def main() -> None:
    """Serve until stdin ends."""
    call: Callable[[str], object] = importlib.import_module(sys.argv[1]).call
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            call(line.strip())
            said = "called"
        except Exception as error:  # noqa: BLE001 - a peer may refuse in any way; that is an answer here
            said = " ".join(f"{type(error).__name__}: {error}".split())
        print(said, flush=True)


if __name__ == "__main__":
    main()
