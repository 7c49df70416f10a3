"""Search the model and print the findings: `python -m tests.model [--long]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import click

from tests.model.search import search
from tests.model.variants import BAD, LONG, SOUND
from tests.model.words import in_words
from tests.model.world import Rules, Scope


def main() -> int:
    """Return 1 if the protocol breaks a promise, or if the search finds nothing wrong with a variant."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="search larger scopes: takes minutes and gigabytes of memory"
    )
    scopes = LONG if parser.parse_args().long else SOUND
    began = time.perf_counter()
    wrong = _print_protocol(scopes) + _print_variants()
    click.echo(f"\n{time.perf_counter() - began:.1f} s in all, {wrong} surprises")
    return 1 if wrong else 0


def _print_protocol(scopes: Mapping[str, Scope]) -> int:
    click.echo(f"{'the protocol, 2 workers':55} {'states':>8} {'s':>6}  promises kept   dead ends")
    wrong = 0
    for name, scope in scopes.items():
        found = search(Rules(), scope, ends=True)
        kept = "all" if found.promise is None else found.promise
        click.echo(f"{name:55} {found.states:8} {found.seconds:6.1f}  {kept:15} {found.stuck}")
        _print_trace(found.trace)
        wrong += bool(found.promise) or bool(found.stuck)
    return wrong


def _print_variants() -> int:
    click.echo(f"\n{'without':75} {'states':>8} {'s':>6}  found")
    wrong = 0
    for variant in BAD:
        found = search(variant.rules, variant.scope, only=variant.breaks)
        said = f"{found.promise}, in {len(found.trace)} steps" if found.promise else "NOTHING: the model is blind here"
        click.echo(f"{variant.lacks:75} {found.states:8} {found.seconds:6.1f}  {said}")
        _print_trace(found.trace)
        wrong += found.promise is None
    return wrong


def _print_trace(trace: tuple[tuple[str, int], ...]) -> None:
    for number, sentence in enumerate(in_words(trace), 1):
        click.echo(f"  {number:2}. {sentence}")


if __name__ == "__main__":
    raise SystemExit(main())
