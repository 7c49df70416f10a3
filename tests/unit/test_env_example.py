"""`.env.example` documents every setting there is, and no other."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

import settings
from settings import ROOT

EXAMPLE = ROOT / ".env.example"
SETTING = re.compile(r"[A-Z][A-Z0-9]*((_[A-Z0-9]+)+_?|_)")

#: One variable per source of webhooks, and one per agent; the example shows one of each.
PREFIXES = ("WEBHOOK_SECRET_", "AUTONOMY_")
#: A convention of terminals (no-color.org), read from the environment and not a setting.
OF_TERMINALS = {"NO_COLOR"}


def read_by_settings() -> set[str]:
    """The declared settings, and the texts in settings.py that are spelt like an environment variable."""
    declared = {field.name.upper() for field in fields(settings.Settings) if field.metadata}
    tree = ast.parse((ROOT / "settings.py").read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return declared | {text for text in texts if isinstance(text, str) and SETTING.fullmatch(text)}


def documented() -> dict[str, str]:
    """Each variable of the example with its value, also of lines that are commented out."""
    found = re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    return dict(found)


def test_every_setting_is_in_the_example_and_the_other_way_round() -> None:
    shown = {next((each for each in PREFIXES if name.startswith(each)), name) for name in documented()}

    assert shown == read_by_settings() - OF_TERMINALS


def test_there_are_as_many_names_as_settings() -> None:
    """The comparison above would not notice a name that is put together; the number of fields would."""
    named = {field.name for field in fields(settings.Settings)} - {"embedded", "webhook_secrets", "autonomy"}

    assert {name.lower() for name in documented() if not name.startswith(PREFIXES)} == named


def test_the_values_in_the_example_are_the_defaults() -> None:
    assert settings.read(documented()) == settings.read({})


def test_every_setting_has_a_sentence_before_it() -> None:
    lines = EXAMPLE.read_text().splitlines()

    for number, line in enumerate(lines):
        if re.match(r"#? ?[A-Z][A-Z0-9_]*=", line):
            before = lines[number - 1]
            assert before.startswith("# "), line
            assert len(before) > 20, line
