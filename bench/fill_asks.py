"""Submit calls of a model: `python -m bench.fill_asks COUNT URL`."""

from __future__ import annotations

import sys

from workers import app

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        app.send_task("bench.agents.stack.ask", kwargs={"number": number, "url": sys.argv[2]})
