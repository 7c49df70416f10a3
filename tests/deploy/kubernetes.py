"""The manifests of deploy/kubernetes as the tests read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY

FOLDER = DEPLOY / "kubernetes"
BASE, OVERLAY = FOLDER / "base", FOLDER / "overlays" / "example"
KUSTOMIZATIONS = (BASE, OVERLAY, FOLDER / "components" / "rabbitmq")


@dataclass(frozen=True)
class Manifest:
    """One resource of a file."""

    file: Path
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        return str(self.content["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.content["metadata"].get("labels", {})
        return found

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.content["spec"]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        """The pod's own part, of a Deployment."""
        found: dict[str, Any] = self.spec["template"]["spec"]
        return found

    @property
    def process(self) -> dict[str, Any]:
        """The container that runs a process of the Procfile."""
        (one,) = self.pod["containers"]
        found: dict[str, Any] = one
        return found


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def manifests(*folders: Path) -> list[Manifest]:
    """Return every resource of the files that these folders' kustomizations name, without what another folder has."""
    names = [(folder, name) for folder in folders or (BASE, OVERLAY) for name in kustomization(folder)["resources"]]
    files = [folder / name for folder, name in names if name.endswith(".yaml")]
    return [Manifest(file, content) for file in files for content in yaml.safe_load_all(file.read_text())]


def deployments() -> list[Manifest]:
    return [each for each in manifests() if each.kind == "Deployment"]


def literals(folder: Path) -> dict[str, str]:
    """Return the settings that a kustomization writes into the ConfigMap gatehouse."""
    (one,) = (each for each in kustomization(folder)["configMapGenerator"] if each["name"] == "gatehouse")
    return dict(text.split("=", 1) for text in one["literals"])


def every(content: object, name: str) -> Iterator[Any]:
    """Yield every value of this name, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == name:
                yield value
            yield from every(value, name)
    elif isinstance(content, list):
        for each in content:
            yield from every(each, name)


def name_of(each: Manifest) -> str:
    return f"{each.kind}-{each.name}"


each_manifest = pytest.mark.parametrize("manifest", manifests(), ids=name_of)
each_deployment = pytest.mark.parametrize("manifest", deployments(), ids=name_of)
