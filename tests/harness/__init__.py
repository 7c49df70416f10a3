"""What the tests stand on: a real server, real processes, and waiting with a deadline."""

from tests.harness.install import Install
from tests.harness.polling import GaveUp, patient, until, within
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing, Valkey

__all__ = ["GaveUp", "Install", "Process", "ServerMissing", "Valkey", "patient", "until", "within"]
