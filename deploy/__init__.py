"""Bringing Gatehouse up, here with `make up` and elsewhere."""

import sys

# Before any import of ours: an older Python would only show a puzzling traceback.
if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
    sys.exit(f"gatehouse: needs Python 3.11 or newer, this is {sys.version_info[0]}.{sys.version_info[1]}")
