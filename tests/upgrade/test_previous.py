"""The version before is taken out of the clone as it was, or its absence is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.upgrade import __main__ as upgrade
from tests.upgrade.previous import NotInClone, Previous, version


def git(folder: Path, *args: str) -> None:
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *own, *args], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with one version of a product of one file."""
    folder = tmp_path / "clone"
    (folder / "state").mkdir(parents=True)
    (folder / "tests").mkdir()
    for name in ("state/one.py", "settings.py", "Procfile", "tests/test_one.py"):
        (folder / name).write_text("# before\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "One")
    git(folder, "tag", "v1")
    (folder / "settings.py").write_text("# after\n")
    return folder


def test_the_product_of_the_version_before_is_taken_out_and_removed_at_the_end(clone: Path) -> None:
    with Previous(clone, "v1") as before:
        found = {str(path.relative_to(before.folder)) for path in before.folder.rglob("*") if path.is_file()}
        text = (before.folder / "settings.py").read_text()

    assert found == {"state/one.py", "settings.py", "Procfile"}
    assert text == "# before\n"
    assert not before.folder.exists()


def test_a_clone_without_that_version_says_how_to_get_it(clone: Path) -> None:
    with pytest.raises(NotInClone, match=r"does not have v0, .* git fetch --unshallow --tags"):
        Previous(clone, "v0")


def test_a_folder_that_is_not_a_clone_has_no_version_before(tmp_path: Path) -> None:
    with pytest.raises(NotInClone):
        Previous(tmp_path)


def test_an_upgrade_that_cannot_be_tried_is_not_one_that_went_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> Previous:
        raise NotInClone("this clone does not have v1")

    monkeypatch.setattr(upgrade, "Previous", absent)
    monkeypatch.setattr("sys.argv", ["upgrade"])

    assert upgrade.main() == upgrade.NOT_CHECKED
    assert capsys.readouterr().out == "NOT CHECKED: this clone does not have v1\n"


def test_one_version_is_named() -> None:
    assert version()
