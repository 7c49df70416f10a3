"""A report of a drill's task reaches the provider, also from a worker whose lease ended while it was stopped."""

from __future__ import annotations

import threading
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

from gatekeeper.run import attempt
from gatekeeper.run.http_guard import Wire
from tests.harness import patient, until
from workers.drill.fake_provider import FakeProvider, ProviderAccount
from workers.drill.stub_tasks import Stub


def test_the_end_of_the_lease_does_not_end_a_report(monkeypatch: Any) -> None:
    account, late = ProviderAccount(), Wire(lease_ends_ms=0)
    late.begin_effect()
    token = attempt._current.set(SimpleNamespace(wire=late))  # type: ignore[arg-type]  # as much as a request asks for
    account.hold("refused")
    try:
        with FakeProvider({"agent": account}) as provider:
            stub = Stub(provider.url, "agent")
            reporting = threading.Thread(target=copy_context().run, args=(stub.report, "refused"), daemon=True)
            reporting.start()
            until(lambda: account.held_sender("refused"), what="the report to arrive")

            reporting.join(0.5)
            assert reporting.is_alive(), "it gave up before it was answered"
            account.release_all()
            reporting.join(patient(10))
    finally:
        attempt._current.reset(token)

    assert not reporting.is_alive()
    assert account.seen["refused"] == 1
