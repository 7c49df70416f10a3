"""Which of the two benches has started this process.

The bench of faults has shorter waiting times than a peer's defaults, so that a delivery after a death can be watched. The
bench of speed has the defaults.
"""

from __future__ import annotations

import os

SPEED = os.environ.get("PEERS_BENCH") == "speed"
