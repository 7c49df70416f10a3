"""What the tests stand on: a real server, real processes, and waiting with a deadline."""

from tests.harness.install import Install
from tests.harness.polling import GaveUp, patient, until, within
from tests.harness.process import Process
from tests.harness.redis_group import Certificate, Node, RedisGroup
from tests.harness.valkey import ServerMissing, Valkey

__all__ = [
    "Certificate",
    "GaveUp",
    "Install",
    "Node",
    "Process",
    "RedisGroup",
    "ServerMissing",
    "Valkey",
    "patient",
    "until",
    "within",
]
