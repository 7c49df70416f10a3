"""A scraper for tests: it reads a page of metrics as Prometheus does."""

from __future__ import annotations

from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import patient


class Scrape:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one sample, by the name that the page has for it; None if there is none."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, f"{name} {labels} is not one sample but {len(found)}"
        return found[0] if found else None


def fetch(url: str, **headers: str) -> tuple[str, str]:
    """The text of `url`/metrics and its media type."""
    asked = Request(f"{url}/metrics", headers=headers)
    with build_opener(ProxyHandler({})).open(asked, timeout=patient(10)) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def scrape(url: str) -> Scrape:
    return Scrape(fetch(url)[0])
