"""The packages that the processes of `make up` share: the application with its tasks, and Celery's command line.

Importing this module makes the application ready. What only one process needs is not here; `web.app` asks Redis when it
is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType

# Only `celery amqp repl` needs it, which no process of `make up` is; it would load prompt_toolkit, 8 MB.
_absent = ModuleType("click_repl")
_absent.register_repl = lambda group: None  # type: ignore[attr-defined]  # noqa: ARG005 - the name of a function of click_repl
_has_repl = "click_repl" in sys.modules
sys.modules.setdefault("click_repl", _absent)

import celery.bin.celery  # noqa: E402, F401 - the command line, with the commands of Flower and of Gatehouse

if not _has_repl:
    del sys.modules["click_repl"]

from workers import app  # noqa: E402

app.loader.import_default_modules()
app.finalize()
