"""The text of a Lua script: its parts put together, and what it calls by name turned into positions.

Names are for the reader: `K` and `A` are the keys and the arguments of a call, and `fields` reads a hash. Looking names
up in tables took a tenth of the server's time per call, so the text that the server gets has positions in their place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files

from state import constants

#: At the end of a last name: it takes all values that are left, as a list.
REST = "..."

_INCLUDE = re.compile(r"^( *)--! include (.+)\n", re.MULTILINE)
_CONSTANTS = re.compile(r"^--! constants (.+)$", re.MULTILINE)
_STRING = re.compile(r'"([^"]+)"')
_NAMED = re.compile(
    r'--.*|"[^"\n]*"'  # a comment or a string: unchanged
    r"|local (?P<table>\w+) = (?:named\(\{(?P<names>[^}]*)\}, (?P<source>KEYS|ARGV)\)|fields\((?P<hash>[\w.]+), (?P<fields>[^)]*)\))"
    r"|\b(?P<of>\w+)\.(?P<name>\w+)"
)


def assembled(name: str) -> str:
    """Return the script with each include replaced by its text.

    A part that was included before is dropped, unless that was inside a function: what an indented include defines is
    known there alone, and made only when the function is called.
    """
    return _text_of(f"{name}.lua", set())


def _text_of(file: str, included: set[str]) -> str:
    def include(line: re.Match[str]) -> str:
        known = set(included) if line[1] else included
        return "".join(_part(part, known) for part in line[2].split())

    text = _CONSTANTS.sub(lambda line: _definition(line[1].split()), _read(file))
    return _INCLUDE.sub(include, text)


def _part(part: str, included: set[str]) -> str:
    if part in included:
        return ""
    included.add(part)
    return _text_of(f"{part}.lua.inc", included)


def with_positions(text: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return the text for the server, and the names of its keys (`KEYS`) and of its arguments (`ARGV`), in order.

    Raises:
        NameError: The text uses a name that its table lacks.

    """
    tables: dict[str, tuple[str, ...]] = {}

    def position(table: str, name: str) -> str:
        names = tables.get(table)
        if names is None:
            return f"{table}.{name}"  # a table of the script's own
        if name + REST in names:
            return f"{table}_{name}"
        if name not in names:
            raise NameError(f"{table} has no {name!r}; it has: {', '.join(names)}")
        return f"{table}[{names.index(name) + 1}]"

    def replace(found: re.Match[str]) -> str:
        table, source = found["table"], found["source"]
        if table is None:
            return position(found["of"], found["name"]) if found["of"] else found[0]
        tables[table] = names = tuple(_STRING.findall(found["names"] or found["fields"]))
        if source is None:
            return f'local {table} = redis.call("HMGET", {_NAMED.sub(replace, found["hash"])}, {found["fields"]})'
        tables[source] = names
        if not names[-1].endswith(REST):
            return f"local {table} = {source}"
        return f"local {table}, {table}_{names[-1].removesuffix(REST)} = {source}, {{unpack({source}, {len(names)})}}"

    return _NAMED.sub(replace, text), tables


def _definition(names: Sequence[str]) -> str:
    """Return the Lua line that defines constants with their values from Python."""
    values = [json.dumps(getattr(constants, name)) for name in names]
    return f"local {', '.join(names)} = {', '.join(values)}"


def _read(file: str) -> str:
    return files("state").joinpath("scripts", file).read_text()
