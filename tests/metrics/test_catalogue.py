"""Every metric is described on its page, and nothing else is."""

from __future__ import annotations

import re

import settings
from web.metrics.catalogue import METRICS

ROW = re.compile(r"^\| `(gatehouse_\w+)` \| (\w+) \| ([\w, ]*) \| (.+) \|$", re.MULTILINE)


def test_the_page_lists_each_metric_with_its_type_its_labels_and_its_meaning() -> None:
    page = (settings.ROOT / "docs" / "metrics.md").read_text()

    told = {
        name: (kind, tuple(labels.replace(",", "").split()), meaning)
        for name, kind, labels, meaning in ROW.findall(page)
    }

    end = {"counter": "_total"}
    assert told == {each.name + end.get(each.kind, ""): (each.kind, each.labels, each.help) for each in METRICS}


def test_no_metric_has_a_label_without_bounds() -> None:
    bounded = {
        *("agent", "task", "outcome", "stage", "state", "kind", "queue", "entry", "service"),
        *("rule", "by", "name", "provider", "version", "host"),
    }

    assert {label for each in METRICS for label in each.labels} <= bounded
