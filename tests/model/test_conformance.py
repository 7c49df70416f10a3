"""The real scripts, ledger and journal go where the model goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Valkey
from tests.model.replay import replay
from tests.model.stage import Stage
from tests.model.traces import SCOPES, random_walk, shortest
from tests.model.world import Scope

#: Traces of each kind and scope. More of them find nothing else, and take their time.
WALKS = 8
WAYS = 12


pytestmark = pytest.mark.usefixtures("own_state_folder")


def walk(valkey: Valkey, folder: Path, trace: list[dict[str, object]]) -> None:
    valkey.client().flushall()
    stage = Stage(valkey.client(), folder)
    try:
        replay(stage, trace)
    finally:
        stage.close()


@pytest.mark.parametrize("scope", SCOPES, ids=repr)
def test_the_real_ledger_goes_the_shortest_way_to_every_kind_of_world(
    valkey: Valkey, tmp_path: Path, scope: Scope
) -> None:
    for number, trace in enumerate(shortest(scope, WAYS)):
        walk(valkey, tmp_path / f"journal{number}", trace)


@pytest.mark.parametrize("scope", SCOPES, ids=repr)
def test_the_real_ledger_follows_the_model_at_random(valkey: Valkey, tmp_path: Path, scope: Scope) -> None:
    for seed in range(WALKS):
        walk(valkey, tmp_path / f"journal{seed}", random_walk(scope, seed))
