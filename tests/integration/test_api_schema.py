"""schemathesis reads the OpenAPI document and sends what it allows and what it rules out; no answer may contradict it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Install, patient
from tests.programs import OWNER, TOKENS

pytestmark = pytest.mark.slow

#: Requests per operation that schemathesis makes up, besides those at every limit of the document.
EXAMPLES = 15


def test_no_answer_of_the_api_contradicts_its_document(install: Install, tmp_path: Path) -> None:
    install.env |= {"API_TOKENS": TOKENS, "TASK_MODULES": ""}  # its calls wait: no worker runs
    web = install.web()
    program = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{install.web_url}/api/openapi.json"]
    options = [
        "--header",
        f"Authorization: Bearer {OWNER}",
        "--max-examples",
        str(EXAMPLES),
        "--seed",
        "1",
        "--no-color",
    ]

    done = subprocess.run(
        [*program, *options], cwd=tmp_path, capture_output=True, text=True, timeout=patient(120), check=False
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "Failures:" not in done.stdout
    assert "Traceback" not in web.output
