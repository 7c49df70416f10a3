"""The alert rules and the dashboard: promtool accepts them, each alert was tried, and each metric that they name exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY, ROOT, run, tool
from web.metrics.catalogue import METRICS

FOLDER = DEPLOY / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "gatehouse.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]

#: What Grafana puts in the place of its variables, as far as PromQL must be able to read it.
VARIABLES = {"$__rate_interval": "5m", "$agent": ".*"}


def names() -> set[str]:
    """Return the names of all samples that a page of metrics may have."""
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket",)}
    return {each.name + end for each in METRICS for end in ends[each.kind]}


def exprs() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expr = target["expr"]
            for name, value in VARIABLES.items():
                expr = expr.replace(name, value)
            yield expr


def test_promtool_accepts_the_rules_and_the_example_of_a_scrape() -> None:
    promtool = tool("promtool")

    for checked in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = run(promtool, "check", checked[0], FOLDER / checked[1])
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_for_what_it_is_for_and_none_while_all_is_well() -> None:
    done = run(tool("promtool"), "test", "rules", FOLDER / "tests.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_and_a_cure() -> None:
    cases = {each["name"] for each in yaml.safe_load((FOLDER / "tests.yml").read_text())["tests"]}

    assert {rule["alert"] for rule in RULES} == cases - {"all is well"}
    for rule in RULES:
        assert (ROOT / rule["annotations"]["cure"]).is_file(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_metric_of_the_rules_and_of_the_dashboard_exists() -> None:
    told = " ".join([*exprs(), *(rule["expr"] for rule in RULES)])

    named = set(re.findall(r"\bgatehouse_\w+", told))

    assert named
    assert named <= names(), named - names()


def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(exprs())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    done = run(tool("promtool"), "check", "rules", tmp_path / "panels.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_each_panel_has_a_place_and_names_what_it_shows(panel: dict[str, Any]) -> None:
    place = panel["gridPos"]

    assert place["x"] + place["w"] <= 24
    assert all(target["legendFormat"] for target in panel["targets"])
