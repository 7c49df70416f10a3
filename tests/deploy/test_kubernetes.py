"""The manifests of Kubernetes: their schemas accept them, their parts fit together, and they run what the Procfile says.

No cluster is asked: kubernetes-validate has the schemas of Kubernetes, and keda.schema.json those of KEDA's resources.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from tests.deploy.kubernetes import (
    BASE,
    FOLDER,
    KUSTOMIZATIONS,
    OVERLAY,
    Manifest,
    deployments,
    each_deployment,
    each_manifest,
    every,
    kustomization,
    manifests,
    name_of,
)
from tests.deploy.tools import run, tool

KEDA = ("ScaledObject", "TriggerAuthentication")


@each_manifest
def test_its_schema_accepts_it(manifest: Manifest, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump(manifest.content))
    command = [tool("check-jsonschema"), "--schemafile", str(Path(__file__).with_name("keda.schema.json"))]
    if manifest.kind not in KEDA:
        command = [tool("kubernetes-validate"), "--strict"]

    done = run(*command, file)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replica"), 2),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readyProbe"), {}),
        ("NetworkPolicy", ("spec", "policyTypes"), "Egress"),
        ("ScaledObject", ("spec", "minReplicas"), 2),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "queueName"), "celery"),
        ("TriggerAuthentication", ("spec", "secretTargetRef", 0, "parameter"), "url"),
    ],
)
def test_a_schema_refuses_what_is_misspelt(
    kind: str, path: tuple[str | int, ...], value: object, tmp_path: Path
) -> None:
    one = next(each for each in manifests() if each.kind == kind)
    changed = yaml.safe_load(yaml.safe_dump(one.content))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    with pytest.raises(AssertionError):
        test_its_schema_accepts_it(dataclasses.replace(one, content=changed), tmp_path)


def test_every_file_is_named_by_a_kustomization_and_every_name_is_a_file() -> None:
    named: set[Path] = set()
    for folder in KUSTOMIZATIONS:
        read = kustomization(folder)
        files = [*read.get("resources", []), *read.get("components", [])]
        files += [each["path"] for each in read.get("patches", []) if "path" in each]
        files += [name for each in read.get("configMapGenerator", []) for name in each.get("files", [])]
        named |= {(folder / name).resolve() for name in files} | {folder / "kustomization.yaml"}

    assert {file for file in FOLDER.rglob("*") if file.is_file()} == {path for path in named if path.is_file()}
    assert all(path.exists() for path in named)


@pytest.mark.slow
def test_kustomize_builds_the_overlay_with_and_without_rabbitmq(tmp_path: Path) -> None:
    """kubectl is not on CI's machine, as Debian has none of a version that knows components: there this test is skipped."""
    kubectl = tool("kubectl")
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{relative(OVERLAY, tmp_path)}]\ncomponents: [{relative(FOLDER / 'components/rabbitmq', tmp_path)}]\n"
    )

    plain = run(kubectl, "kustomize", OVERLAY)
    rabbit = run(kubectl, "kustomize", "--load-restrictor", "LoadRestrictionsNone", tmp_path)

    assert plain.returncode == 0, plain.stderr
    assert rabbit.returncode == 0, rabbit.stderr
    built = [each for each in yaml.safe_load_all(plain.stdout) if each]
    assert {each["kind"] for each in built} >= {"ConfigMap", "Deployment", "Ingress", "Namespace", "ScaledObject"}
    assert set(every(built, "namespace")) == {"gatehouse"}
    assert set(every(built, "image")) == {"registry.example.org/gatehouse:0.1.0"}
    (scaled,) = (each for each in yaml.safe_load_all(rabbit.stdout) if each["kind"] == "ScaledObject")
    assert [trigger["type"] for trigger in scaled["spec"]["triggers"]] == ["rabbitmq"]
    assert "TriggerAuthentication" not in rabbit.stdout


def relative(target: Path, folder: Path) -> str:
    """Return the path from one folder to another over the root: kustomize refuses absolute ones."""
    return "../" * len(folder.resolve().relative_to("/").parts) + str(target.resolve().relative_to("/"))


# What fits together


@each_deployment
def test_a_selector_matches_the_pods(manifest: Manifest) -> None:
    labels = manifest.spec["template"]["metadata"]["labels"]

    assert manifest.spec["selector"]["matchLabels"] == labels
    assert labels == manifest.labels
    for spread in manifest.pod["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels


@pytest.mark.parametrize(
    "manifest",
    [each for each in manifests() if each.kind in {"PodDisruptionBudget", "NetworkPolicy", "Service"}],
    ids=name_of,
)
def test_what_selects_pods_selects_some(manifest: Manifest) -> None:
    selector = manifest.spec.get("selector") or manifest.spec.get("podSelector", {})
    wanted = selector.get("matchLabels", selector)
    expressions = selector.get("matchExpressions", [])
    pods = [each.spec["template"]["metadata"]["labels"] for each in deployments()]

    found = [pod for pod in pods if wanted.items() <= pod.items()]

    assert found
    for each in expressions:
        assert set(each["values"]) <= {pod[each["key"]] for pod in found}


def test_each_process_has_a_budget_that_lets_a_node_be_drained() -> None:
    budgets = {each.name: each.spec for each in manifests() if each.kind == "PodDisruptionBudget"}

    assert set(budgets) == {each.name for each in deployments()}
    assert all(spec["maxUnavailable"] == 1 for spec in budgets.values())
    assert all(each.spec.get("replicas", 2) >= 2 for each in deployments())


def test_the_scaler_scales_the_workers_and_never_to_none() -> None:
    (scaled,) = (each for each in manifests() if each.kind == "ScaledObject")
    worker = next(each for each in deployments() if each.name == "worker")

    assert scaled.spec["scaleTargetRef"]["name"] == worker.name
    assert "replicas" not in worker.spec, "it would undo what KEDA chose with each kubectl apply"
    assert 2 <= scaled.spec["minReplicaCount"] < scaled.spec["maxReplicaCount"]
    assert "idleReplicaCount" not in scaled.spec
    (trigger,) = scaled.spec["triggers"]
    (login,) = (each for each in manifests() if each.kind == "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == login.name


def test_the_patch_for_rabbitmq_is_a_trigger_of_keda(tmp_path: Path) -> None:
    (patch,) = yaml.safe_load((FOLDER / "components" / "rabbitmq" / "scaling.yaml").read_text())
    (scaled,) = (each for each in manifests() if each.kind == "ScaledObject")
    changed = {**scaled.content, "spec": {**scaled.spec, "triggers": patch["value"]}}
    worker = next(each for each in deployments() if each.name == "worker")

    test_its_schema_accepts_it(dataclasses.replace(scaled, content=changed), tmp_path)

    (trigger,) = patch["value"]
    assert trigger["metadata"]["hostFromEnv"] in {each["name"] for each in worker.process["env"]}


def test_the_ingress_and_the_service_lead_to_the_web_process() -> None:
    service = next(each for each in manifests() if each.kind == "Service")
    web = next(each for each in deployments() if each.name == "web")
    ports = {port["name"]: port["containerPort"] for port in web.process["ports"]}
    values = {each["name"]: each.get("value") for each in web.process["env"]}

    assert {port["targetPort"] for port in service.spec["ports"]} <= set(ports)
    assert values["WEB_PORT"] == str(ports["http"])
    (ingress,) = (each for each in manifests() if each.kind == "Ingress")
    backends = {backend["service"]["name"] for backend in every(ingress.content, "backend")}
    assert backends == {service.name}
    assert "/metrics" not in {rule["path"] for paths in every(ingress.content, "paths") for rule in paths}
    (policy,) = (each for each in manifests() if each.kind == "NetworkPolicy" and each.name == "web")
    assert {port["port"] for ports in every(policy.spec["ingress"], "ports") for port in ports} == {ports["http"]}


@each_deployment
def test_a_volume_that_is_mounted_is_there(manifest: Manifest) -> None:
    volumes = {each["name"]: each for each in manifest.pod["volumes"]}
    containers = [*manifest.pod["initContainers"], manifest.process]
    mounted = {mount["name"] for each in containers for mount in each["volumeMounts"]}
    claims = {each.name for each in manifests() if each.kind == "PersistentVolumeClaim"}
    generated = {each["name"] for each in kustomization(BASE)["configMapGenerator"]}

    assert mounted == set(volumes)
    assert set(every(manifest.pod, "claimName")) <= claims
    assert {each["configMap"]["name"] for each in volumes.values() if "configMap" in each} <= generated
    assert {each["name"] for each in every(manifest.process, "configMapRef")} == {"gatehouse"}
