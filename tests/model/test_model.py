"""The protocol keeps its promises in every interleaving, and each of its defences is needed."""

from __future__ import annotations

import pytest

from tests.model.search import search
from tests.model.variants import BAD, SOUND, Variant
from tests.model.words import in_words
from tests.model.world import Rules, Scope

pytestmark = pytest.mark.slow  # pure computing, for most of a minute; make model runs it too


@pytest.mark.parametrize("scope", SOUND.values(), ids=SOUND)
def test_the_protocol_keeps_every_promise_and_always_comes_to_an_end(scope: Scope) -> None:
    found = search(Rules(), scope, ends=True)
    assert found.promise is None, "\n".join([str(found.promise), *in_words(found.trace)])
    assert found.stuck == 0


@pytest.mark.parametrize("variant", BAD, ids=lambda variant: variant.lacks)
def test_a_protocol_without_one_of_its_defences_is_found_bad(variant: Variant) -> None:
    found = search(variant.rules, variant.scope, only=variant.breaks)
    assert found.promise == variant.breaks
    assert in_words(found.trace)
