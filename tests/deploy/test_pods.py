"""The pods of Kubernetes: they run the Procfile with settings of ours, may do little, and get the time that they need."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import yaml

import settings
from deploy import procfile
from tests.deploy.kubernetes import (
    BASE,
    OVERLAY,
    Manifest,
    deployments,
    each_deployment,
    each_manifest,
    every,
    literals,
)
from tests.deploy.tools import DEPLOY, ROOT, run, tool
from workers.config import GRACE
from workers.shutdown import CLOSE_SECONDS

PROCFILE = procfile.read(ROOT / "Procfile")
#: Variables that are not settings of ours: uvicorn's, for the proxies that it believes.
OF_OTHERS = {"FORWARDED_ALLOW_IPS"}
#: The secrets that a person makes, as docs/kubernetes.md tells.
SECRETS = {
    "gatehouse-stores",
    "gatehouse-web",
    "gatehouse-worker",
    "gatehouse-signing",
    "gatehouse-broker",
    "gatehouse-tls",
}
QUANTITY = re.compile(r"\d+(\.\d+)?(m|[KMGT]i?)?")
#: Seconds between the end of a worker's own grace period and the kill, at least.
SPARE = 3.0


# What runs


@each_deployment
def test_a_pod_runs_the_line_of_the_procfile(manifest: Manifest) -> None:
    assert manifest.process["command"] == ["/bin/sh", "-c"]
    assert manifest.process["args"] == [f"exec {PROCFILE[manifest.name]}"]
    assert "$(" not in PROCFILE[manifest.name], "Kubernetes would expand it"


def test_there_are_pods_for_each_process_but_flower() -> None:
    assert {each.name for each in deployments()} == set(PROCFILE) - {"flower"}


def known_settings() -> set[str]:
    """Return every variable that settings.py reads."""
    listed = set(re.findall(r"^# ([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    return listed | {field.name.upper() for field in dataclasses.fields(settings.Settings)}


@each_deployment
def test_every_variable_is_a_setting(manifest: Manifest) -> None:
    given = {each["name"] for each in manifest.process["env"]} | set(literals(BASE)) | set(literals(OVERLAY))

    assert given - known_settings() - OF_OTHERS == set()


def test_the_settings_of_the_overlay_can_be_read() -> None:
    web = next(each for each in deployments() if each.name == "web")
    values = {each["name"]: each["value"] for each in web.process["env"] if "value" in each}
    chosen = settings.read({**literals(BASE), **literals(OVERLAY), **values})

    assert str(chosen.state_dir) == "/data/state"
    assert chosen.public_url.startswith("https://")
    assert chosen.web_host == "0.0.0.0"


@each_manifest
def test_a_secret_is_only_referred_to(manifest: Manifest) -> None:
    assert manifest.kind != "Secret"
    named = [each["name"] for kind in ("secretKeyRef", "secretRef") for each in every(manifest.content, kind)]
    named += [each["secretName"] for each in every(manifest.content, "secret")]
    named += [each["name"] for refs in every(manifest.content, "secretTargetRef") for each in refs]
    named += [*every(manifest.content, "secretName")]
    page = (ROOT / "docs" / "kubernetes.md").read_text()

    assert set(named) <= SECRETS
    assert all(f"`{name}`" in page for name in named)
    for each in every(manifest.content, "env"):
        assert not any(re.search("PASSWORD|TOKEN|SECRET|_URL$", one["name"]) and "value" in one for one in each)


# What a pod may do, and what it takes


@each_deployment
def test_a_pod_meets_the_standard_restricted(manifest: Manifest) -> None:
    pod = manifest.pod

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001, "the user of the image"
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    kinds = {kind for volume in pod["volumes"] for kind in set(volume) - {"name"}}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    for each in (*pod["initContainers"], manifest.process):
        locked = each["securityContext"]
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in port for port in each.get("ports", []))


@each_deployment
def test_no_service_of_the_namespace_changes_a_setting(manifest: Manifest) -> None:
    """A Service named web makes WEB_PORT=tcp://…, which is a setting of ours, in every pod that starts after it."""
    assert manifest.pod["enableServiceLinks"] is False


@each_deployment
def test_every_folder_that_is_written_can_be_written(manifest: Manifest) -> None:
    places = [mount["mountPath"] for mount in manifest.process["volumeMounts"] if not mount.get("readOnly")]
    folders = [literals(BASE)[name] for name in ("STATE_DIR", "CONTENT_DIR", "PUBLIC_DIR")]

    for folder in (*folders, "/tmp"):
        assert any(Path(folder).is_relative_to(place) for place in places), folder


@each_manifest
def test_every_quantity_can_be_read(manifest: Manifest) -> None:
    sizes = [*every(manifest.content, "requests"), *every(manifest.content, "limits")]
    limits = [value for each in sizes for value in each.values()] + [*every(manifest.content, "sizeLimit")]

    assert [value for value in limits if not QUANTITY.fullmatch(str(value))] == []


@each_deployment
def test_a_process_asks_for_no_more_than_its_limit(manifest: Manifest) -> None:
    resources = manifest.process["resources"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]

    assert mebibytes(resources["requests"]["memory"]) <= mebibytes(resources["limits"]["memory"])
    assert resources["limits"]["memory"] == compose[manifest.name]["mem_limit"].replace("m", "Mi")
    assert "cpu" not in resources["limits"], "a throttled worker looks stuck"


def mebibytes(text: str) -> int:
    return int(text.removesuffix("Mi"))


@each_deployment
def test_a_pod_has_the_time_that_its_process_needs_to_end(manifest: Manifest) -> None:
    time = manifest.pod["terminationGracePeriodSeconds"]
    first = manifest.process.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    uvicorn = re.search(r"--timeout-graceful-shutdown (\d+)", PROCFILE["web"])

    assert uvicorn
    needed = float(uvicorn[1]) if manifest.name == "web" else GRACE + CLOSE_SECONDS
    assert time >= float(first[1]) + needed + SPARE


# The script of the init container


def prepare(folder: Path) -> subprocess.CompletedProcess[str]:
    places = {name.upper(): str(folder / name) for name in ("data", "shared", "signing")}
    return run("sh", BASE / "prepare.sh", env=places)


def test_the_pods_share_replies_and_signing_secrets_and_keep_the_rest(tmp_path: Path) -> None:
    (tmp_path / "signing").mkdir()
    for name in ("status-links", "decision-links", "desk-sessions"):
        (tmp_path / "signing" / name).write_text("x" * 43)

    done, again = prepare(tmp_path), prepare(tmp_path)

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    state = tmp_path / "data" / "state"
    assert (state / "mailbox").resolve() == tmp_path / "shared" / "mailbox"
    assert (state / "mail").resolve() == tmp_path / "shared" / "mail"
    assert {file.name for file in (state / "secrets").iterdir()} == {"status-links", "decision-links", "desk-sessions"}
    assert (state / "secrets").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (state / "secrets").iterdir())


def test_a_pod_does_not_start_without_the_signing_secrets(tmp_path: Path) -> None:
    (tmp_path / "signing").mkdir()

    assert prepare(tmp_path).returncode != 0


def test_every_secret_that_pods_share_is_in_the_script() -> None:
    """`private.secret(SECRET)` makes one of its own where there is none, which only its own pod would know."""
    files = [
        file for room in ("state", "web", "workers", "tasks", "gatekeeper") for file in (ROOT / room).rglob("*.py")
    ]
    made = {found for file in files for found in re.findall(r'^SECRET = "([a-z-]+)"', file.read_text(), re.MULTILINE)}
    script = (BASE / "prepare.sh").read_text()

    assert made >= {"status-links", "decision-links"}
    assert {name for name in made - {"flower-password"} if name not in script} == set()


def test_shellcheck_finds_nothing_in_the_script() -> None:
    done = run(tool("shellcheck"), BASE / "prepare.sh")

    assert done.returncode == 0, done.stdout
