"""The documentation is true: its examples run, its links lead somewhere, its names are those of the code."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import gatekeeper.errors
import settings
from deploy import procfile
from tests.harness import Install, Valkey, forks, patient

ROOT = settings.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OPERATIONS = ROOT / "docs" / "operations"

BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
VARIABLE = re.compile(r"^# (?P<name>[A-Z][A-Z0-9_]+)=(?P<value>.*)$", re.MULTILINE)
#: `gatehouse status` as people write it, or as the plug-in of Celery.
GATE = re.compile(r"(?:celery -A workers gate|\.venv/bin/gatehouse|`gatehouse) (?P<command>[a-z][a-z-]+)")
MAKE = re.compile(r"(?:^\$ |`)make (?P<target>[a-z]+)", re.MULTILINE)


class Block(NamedTuple):
    page: Path
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text()):
            yield Block(page, found["language"], found["text"])


def block(page: str, part: str) -> str:
    """The Python block of a page that contains this text."""
    return next(b.text for b in blocks() if (b.page, b.language) == (ROOT / page, "python") and part in b.text)


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def words(text: str) -> int:
    """Return the number of words that a reader sees, those of examples and of their output included."""
    return len(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split())


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def gate_commands() -> set[str]:
    """What `celery -A workers gate` knows; asked elsewhere, because it loads every agent."""
    code = "import workers, workers.commands; print(*workers.commands.gate.commands)"
    done = forks.run([sys.executable, "-c", code], cwd=ROOT)
    return set(done.stdout.split())


# Examples


@pytest.mark.parametrize("found", [b for b in blocks() if b.language == "python"], ids=lambda b: name_of(b.page))
def test_a_python_example_compiles(found: Block) -> None:
    compile(found.text, str(found.page), "exec")


@pytest.mark.parametrize("found", [b for b in blocks() if b.language == "json"], ids=lambda b: name_of(b.page))
def test_a_json_example_is_json(found: Block) -> None:
    json.loads(found.text)


@pytest.mark.parametrize(("file", "part"), [("greeter.py", "def greet("), ("test_greeter.py", "def test_")])
def test_the_greeter_of_the_examples_is_the_one_of_the_guide(file: str, part: str) -> None:
    assert (ROOT / "examples" / "greeter" / file).read_text() == block("docs/add-your-agent.md", part)


@pytest.fixture
def examples(tmp_path: Path, valkey: Valkey) -> Iterator[Install]:
    """An installation with the two tasks of the documentation as its agents."""
    modules = {"herald": block("README.md", "def publish"), "greeter": block("docs/add-your-agent.md", "def greet(")}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "outbox").mkdir()
    env = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
        "CONTENT_DIR": str(ROOT / "content"),
        "OUTBOX": str(tmp_path / "outbox"),
    }
    install = Install(tmp_path / "install", valkey.url, task_modules=list(modules), env=env)
    yield install
    install.close()


def test_the_task_of_the_readme_publishes_a_post_once(examples: Install) -> None:
    answers = examples.json_of("""
        import json, herald
        print(json.dumps([herald.publish("state-at-3am", "feed") for _ in range(2)]))
    """)

    assert [answer["ok"] for answer in answers] == [True, True]
    assert [answer["replayed"] for answer in answers] == [False, True]
    assert (examples.public_dir / "posts" / "state-at-3am.html").is_file()


def test_the_task_of_the_readme_has_twelve_lines() -> None:
    lines = block("README.md", "def publish").splitlines()

    assert len([line for line in lines if line]) <= 12


def test_the_agent_of_the_guide_sends_one_letter_and_remembers_it(examples: Install, tmp_path: Path) -> None:
    examples.json_of("import json, greeter\nprint(json.dumps([greeter.greet('ada') for _ in range(2)]))")

    assert [file.name for file in (tmp_path / "outbox").iterdir()] == ["ada.txt"]
    assert examples.explain("greet:ada")["result"] == {"file": str(tmp_path / "outbox" / "ada.txt")}


def test_the_test_of_the_guide_passes(examples: Install, tmp_path: Path) -> None:
    (tmp_path / "test_greeter.py").write_text(block("docs/add-your-agent.md", "def test_"))

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_greeter.py")]
    done = subprocess.run(
        command, cwd=ROOT, env=examples.env, capture_output=True, text=True, timeout=patient(60), check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schedule_of_the_guide_is_accepted(examples: Install, tmp_path: Path) -> None:
    row = block("docs/add-your-agent.md", 'schedule["greet"]')
    (tmp_path / "table.py").write_text((ROOT / "beat_schedule.py").read_text() + row)

    names, refused = examples.json_of("""
        import json, table
        from gatekeeper.schedule.entries import read
        found = read(table)
        print(json.dumps([sorted(found.entries), list(map(str, found.refused.values()))]))
    """)

    assert {"greet", "publish"} <= set(names)
    assert all("greet" not in each for each in refused)


# Links


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in (found["target"] for found in LINK.finditer(prose(page))):
        path, _, fragment = target.partition("#")
        if "://" in target:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)} links to {target}"
        if fragment:
            anchors = {anchor(found["text"]) for found in HEADING.finditer(prose(file))}
            assert fragment in anchors, f"{name_of(page)} links to {target}; there are {sorted(anchors)}"


#: Folders whose files and modules the pages name.
FOLDERS = "server_urls|state|gatekeeper|clients|tasks|workers|web|deploy|content|tests|docs|bench|examples"
#: Written while the system runs.
MADE_BY_RUNNING = ("content/drafts", "state/agents/")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_named_in_backticks_exists(page: Path) -> None:
    """Paths from the root that have a folder of ours in front."""
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", prose(page)):
        assert path.startswith(MADE_BY_RUNNING) or (ROOT / path).exists(), f"{name_of(page)} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_script_named_in_backticks_exists(page: Path) -> None:
    """A `.lua` file without a folder is one of state/scripts."""
    for name in re.findall(r"`([a-z_]+\.lua(?:\.inc)?)`", prose(page)):
        assert (ROOT / "state" / "scripts" / name).is_file(), f"{name_of(page)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_of_the_code_in_backticks_exists(page: Path) -> None:
    """Dotted names such as `gatekeeper.effect` or `clients.http.request`, and those behind `::: ` of the reference."""
    dotted = r"(?:gatekeeper|clients|server_urls|state|workers|web|deploy)(?:\.[A-Za-z_]\w*)+"
    named = re.findall(rf"`({dotted})(?:\(.*?\))?`", prose(page)) + re.findall(
        rf"^::: ({dotted})", page.read_text(), re.MULTILINE
    )
    for name in named:
        assert resolves(name), f"{name_of(page)} names {name}"


#: The changelog also says what names were.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_every_class_named_in_backticks_is_named_in_the_code(page: Path) -> None:
    for name in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b", prose(page)):
        assert name in words_of_the_code() | NOT_OURS, f"{name_of(page)} names {name}"


#: Names of systemd and Celery.
NOT_OURS = {"SystemMaxUse", "PersistentScheduler"}


@cache
def words_of_the_code() -> set[str]:
    files = [*ROOT.glob("*.py"), *(file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob("*.py"))]
    return {word for file in files for word in re.findall(r"\w+", file.read_text())}


def resolves(dotted: str) -> bool:
    """Whether the longest module in front can be imported and has what follows."""
    with suppress(ImportError, AttributeError):
        pkgutil.resolve_name(dotted)
        return True
    return False


# Commands and processes


def test_every_gate_command_is_told_in_operations() -> None:
    page = (OPERATIONS / "commands.md").read_text()

    missing = {name for name in gate_commands() if not re.search(rf"^\| `gatehouse {name}\b", page, re.MULTILINE)}

    assert missing == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "Makefile"], ids=name_of)
def test_no_page_names_a_gate_command_that_does_not_exist(page: Path) -> None:
    named = {found["command"] for found in GATE.finditer(page.read_text())}

    assert named <= gate_commands()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_make_target_that_does_not_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {found["target"] for found in MAKE.finditer(page.read_text())} <= targets


def test_every_process_of_the_procfile_is_told_in_operations() -> None:
    page = (OPERATIONS / "process-dies.md").read_text()

    missing = {name for name in procfile.read(ROOT / "Procfile") if f"| `{name}` |" not in page}

    assert missing == set()


# One page per symptom

SECTIONS = ["You see", "Look", "It means", "Do", "Why it is safe"]
#: Pages of docs/operations that describe something instead of a symptom.
REFERENCE = {"README", "backups", "commands", "drill", "logs", "revoke", "running", "schedule"}
SYMPTOMS = [page for page in sorted(OPERATIONS.glob("*.md")) if page.stem not in REFERENCE]


@pytest.mark.parametrize("page", SYMPTOMS, ids=name_of)
def test_a_symptom_has_its_five_parts_and_one_command_to_look(page: Path) -> None:
    text = page.read_text()
    look = text.partition("## Look")[2].partition("\n## ")[0]

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert len(re.findall(r"^\$ ", look, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", SYMPTOMS, ids=name_of)
def test_a_symptom_takes_less_than_three_hundred_words(page: Path) -> None:
    assert words(page.read_text()) < 300


@pytest.mark.parametrize("page", SYMPTOMS, ids=name_of)
def test_the_index_of_the_symptoms_leads_to_each_page(page: Path) -> None:
    assert f"]({page.name})" in (OPERATIONS / "README.md").read_text()


def test_the_messages_of_the_product_name_pages_that_exist() -> None:
    files = [*ROOT.glob("*.py"), *(file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob("*.py"))]
    named = {(file, page) for file in files for page in re.findall(r"see (docs/[\w/-]+\.md)", file.read_text())}

    assert named
    assert [(name_of(file), page) for file, page in named if not (ROOT / page).is_file()] == []


# Reading


def test_a_newcomer_reads_ten_minutes_until_the_promise_is_understood() -> None:
    """At 230 words a minute: the README, and the first part of the page that it sends a newcomer to."""
    first_part = (ROOT / "docs" / "how-it-works.md").read_text().partition("\n## 1.")[0]

    assert words((ROOT / "README.md").read_text()) + words(first_part) <= 2300


def glossary_rows() -> list[str]:
    page = (ROOT / "docs" / "glossary.md").read_text()
    return [row for row in re.findall(r"^\| (.+?) \|", page, re.MULTILINE) if row not in {"word", "state"}]


def test_the_glossary_lists_the_nine_states_of_a_key() -> None:
    states = {row.strip("`") for row in glossary_rows() if row.startswith("`")}

    assert states == {"queued", "waiting", "claimed", "sending", "done", "rejected", "cancelled", "unknown", "held"}


def test_the_glossary_has_at_most_twenty_five_words() -> None:
    assert len(glossary_rows()) <= 25


def test_every_decision_has_its_three_parts() -> None:
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        parts = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences"], page.name


def test_the_index_of_decisions_lists_each_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE)
    headings = [(page.read_text().partition("\n")[0], page.name) for page in sorted(folder.glob("0*.md"))]

    assert [(f"# {number}. {title}", name) for number, title, name in listed] == headings


def test_the_reference_has_every_public_name_of_the_gatekeeper() -> None:
    page = (ROOT / "docs" / "reference" / "gatekeeper.md").read_text()
    listed = {name.rpartition(".")[2] for name in re.findall(r"^::: (gatekeeper\S*)$", page, re.MULTILINE)}
    errors = {name for name in vars(gatekeeper.errors) if name[0].isupper()}

    assert set(gatekeeper.__all__) - listed - errors == set()
