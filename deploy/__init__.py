"""Run Gatehouse: the supervisor behind `make up`, and the files for systemd, containers and other hosts."""

import sys

# Before any import of ours, which an older Python would answer with a traceback.
if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets this message
    sys.exit(f"gatehouse: needs Python 3.11 or newer, this is {sys.version_info[0]}.{sys.version_info[1]}")
