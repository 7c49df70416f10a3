"""What `pip install .` takes along, so that an image runs without the checkout."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.deploy.tools import ROOT

#: What `make up` puts beside the code, and what only a server or an image needs.
NOT_CODE = ("deploy/systemd", "deploy/prometheus", "deploy/grafana", "deploy/kubernetes")
ON_THE_MACHINE = {
    "deploy/Caddyfile",
    "deploy/Dockerfile",
    "deploy/backup.sh",
    "deploy/compose.cluster.yaml",
    "deploy/compose.yaml",
    "deploy/install.sh",
    "deploy/nginx.conf",
    "deploy/redis-users.acl",
    "deploy/requirements-postgres.txt",
    "deploy/requirements.txt",
    "deploy/restore.sh",
    "deploy/server.sh",
    "deploy/server.env",
}

SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def folders() -> list[Path]:
    """Return every folder of ours that can be imported; tests and bench stay at home."""
    tops = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name not in {"tests", "bench"}]
    return [found.parent for top in tops for found in top.rglob("__init__.py")]


def test_every_package_is_taken_along() -> None:
    patterns = SETUPTOOLS["packages"]["find"]["include"]

    for folder in folders():
        package = str(folder.relative_to(ROOT)).replace("/", ".")
        assert any(fnmatch(package, pattern) for pattern in patterns), f"{package} is in no package of pyproject.toml"


def test_every_module_of_the_root_is_taken_along() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == set(SETUPTOOLS["py-modules"])


def test_every_file_beside_the_code_is_taken_along() -> None:
    for folder in folders():
        package = str(folder.relative_to(ROOT)).replace("/", ".")
        data = SETUPTOOLS["package-data"]
        patterns = [*data.get("*", []), *data.get(package, [])]
        for file in folder.rglob("*"):
            name, inside = str(file.relative_to(ROOT)), str(file.relative_to(folder))
            nearest = next(parent for parent in file.parents if (parent / "__init__.py").exists())
            if not file.is_file() or nearest != folder or file.suffix in {".py", ".pyc"}:
                continue
            if name in ON_THE_MACHINE or name.startswith(NOT_CODE):
                continue
            assert any(fnmatch(inside, pattern) for pattern in patterns), (
                f"{name} is not in [tool.setuptools.package-data]"
            )
