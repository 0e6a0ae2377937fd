"""Deployment tested as data: what stands in k8s/."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from candela.gateway.ops.metrics import Metrics
from candela.jobs.store import JobStore
from candela.runners.manifest import NETWORK_LABEL
from candela.settings import Settings
from candela.spec import load_specs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "k8s"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if "monitoring" not in path.parts)
KUSTOMIZATIONS = [path for path in FILES if path.name == "kustomization.yaml"]
ALLOWED = {
    ("batch", "jobs"): {"create", "get", "list", "watch", "patch", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
}


def documents() -> Iterator[tuple[str, dict]]:
    for path in FILES:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.relative_to(FOLDER).as_posix(), document


def pods() -> list:
    """Return the pods of all workloads, each under the name of its workload.

    But for GeoServer's, an image of others that writes where it is installed.
    """
    found = []
    for place, document in documents():
        if place.startswith("components/geoserver/"):
            continue
        if document["kind"] in {"Deployment", "DaemonSet", "StatefulSet", "Job"}:
            name = f"{place}:{document['metadata']['name']}"
            found.append(pytest.param(document["spec"]["template"]["spec"], id=name))
    return found


@pytest.mark.parametrize("pod", pods())
def test_every_pod_is_restricted(pod):
    """As the Pod Security Standard of that name wants it, and with a read-only root."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
    for container in pod["containers"] + pod.get("initContainers", []):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("pod", pods())
def test_every_container_has_an_image_that_stays_and_a_limit_of_memory(pod):
    for container in pod["containers"]:
        assert not container["image"].endswith(":latest")
        assert ":" in container["image"].rsplit("/", 1)[-1]
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert "memory" in container["resources"]["limits"]
        assert "cpu" in container["resources"]["requests"]


@pytest.mark.parametrize("pod", pods())
def test_only_the_gateway_gets_a_token(pod):
    is_gateway = pod.get("serviceAccountName") == "candela-gateway"
    assert pod.get("automountServiceAccountToken", True) is is_gateway


def test_the_gateway_has_the_least_rights():
    given = {
        document["metadata"]["name"]: {
            (group, resource): set(rule["verbs"])
            for rule in document["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        for _, document in documents()
        if document["kind"] == "Role"
    }
    assert given == {
        "candela-gateway": ALLOWED,
        "candela-gateway-warm": {("", "pods"): {"create", "patch", "delete"}},
    }
    assert not [place for place, document in documents() if "ClusterRole" in document["kind"]]


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_every_file_that_is_named_exists(path):
    kustomization = yaml.safe_load(path.read_text())
    for name in kustomization.get("resources", []) + kustomization.get("components", []):
        assert (path.parent / name).exists(), f"{path} names {name}"
    here = {other.name for other in path.parent.iterdir()} - {path.name}
    named = {
        *kustomization.get("resources", []),
        *(each.get("path", "") for each in kustomization.get("patches", [])),
        *(
            file.rpartition("=")[2]
            for each in kustomization.get("configMapGenerator", [])
            for file in each.get("files", [])
        ),
    }
    assert here <= named, f"nobody names {here - named} of {path.parent}"


def settings_of(path: Path) -> dict[str, str]:
    kustomization = yaml.safe_load(path.read_text())
    return dict(
        literal.split("=", 1)
        for kind in ("configMapGenerator", "secretGenerator")
        for each in kustomization.get(kind, [])
        for literal in each.get("literals", [])
        if literal.startswith("CANDELA_")
    )


@pytest.mark.parametrize("overlay", ["test", "production"])
def test_the_settings_of_an_overlay_are_valid(overlay, monkeypatch):
    base = settings_of(FOLDER / "base/kustomization.yaml")
    given = {**base, **settings_of(FOLDER / f"overlays/{overlay}/kustomization.yaml")}
    for name, value in given.items():
        assert name.removeprefix("CANDELA_").lower() in Settings.model_fields, name
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert settings.runner == "kubernetes"
    assert settings.storage_url.startswith("s3://")


def component(name: str) -> dict[str, dict]:
    """Return the documents of a component by kind and name."""
    return {
        f"{document['kind']} {document['metadata']['name']}": document
        for place, document in documents()
        if place.startswith(f"components/{name}/") and "metadata" in document
    }


def test_each_login_of_the_patch_database_has_its_password_from_the_secret():
    roles = (FOLDER / "components/patches/roles.sql").read_text()
    asked = set(re.findall(r"^\\getenv \w+ (PATCHES_\w+)", roles, re.MULTILINE))
    text = "".join(path.read_text() for path in (FOLDER / "components/patches").glob("*.yaml"))
    given = set(re.findall(r"key: (PATCHES_\w+)", text))
    assert given == {"PATCHES_OWNER_PASSWORD", "PATCHES_READER_PASSWORD"}
    assert given < asked
    for login in re.findall(r"//(\w+):\$\(", text):
        assert f"CREATE ROLE {login} LOGIN" in roles


def test_the_patch_database_is_reached_by_those_who_need_it_and_reaches_nobody():
    found = component("patches")
    policy = found["NetworkPolicy candela-patches"]["spec"]
    (rule,) = policy["ingress"]
    (source,) = rule["from"]
    (names,) = source["podSelector"]["matchExpressions"]
    clients = found["NetworkPolicy candela-patches-clients"]["spec"]
    assert policy["egress"] == []
    assert clients["podSelector"] == source["podSelector"]
    upgrade = found["Job candela-patches-upgrade"]["spec"]["template"]["metadata"]["labels"]
    assert upgrade["app.kubernetes.io/component"] in names["values"]
    ports = found["Service candela-patches"]["spec"]["ports"]
    assert [rule["ports"][0]["port"] for rule in (policy["ingress"][0], clients["egress"][0])] == [
        ports[0]["targetPort"]
    ] * 2


def test_images_of_all_kinds_that_processes_ask_for_are_pulled_beforehand():
    (daemon,) = (document for _, document in documents() if document["kind"] == "DaemonSet")
    pulled = {each["name"] for each in daemon["spec"]["template"]["spec"]["containers"]}
    assert {spec.run.image for spec in load_specs().values()} <= pulled


def metric_names(tmp_path) -> set[str]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    try:
        families = list(Metrics(store).registry.collect())
    finally:
        store.close()
    return {
        name + suffix
        for name in (family.name for family in families)
        for suffix in ("", "_total", "_bucket", "_count", "_sum")
    }


def test_dashboard_and_alerts_ask_for_metrics_that_exist(tmp_path):
    known = metric_names(tmp_path)
    for path in sorted((FOLDER / "monitoring").iterdir()):
        asked = set(re.findall(r"\bcandela_[a-z_]+", path.read_text()))
        assert asked, path
        assert asked <= known, f"{path} asks for {sorted(asked - known)}"


def test_every_alert_is_explained_to_operators():
    rules = yaml.safe_load((FOLDER / "monitoring/alerts.yaml").read_text())
    page = (ROOT / "docs/operators/alerts.md").read_text()
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert f"## {rule['alert']}\n" in page
            assert {"summary"} <= set(rule["annotations"])


def test_the_dashboard_is_valid_json_with_queries_in_every_panel():
    dashboard = json.loads((FOLDER / "monitoring/dashboard.json").read_text())
    assert dashboard["panels"]
    for panel in dashboard["panels"]:
        assert all(target["expr"] for target in panel["targets"])


def test_prometheus_takes_the_rules_and_the_queries_of_the_dashboard(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine (Debian package prometheus)")
    dashboard = json.loads((FOLDER / "monitoring/dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    records = [
        {"record": f"query:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(asked)
    ]
    queries = tmp_path / "queries.yaml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    for path in (FOLDER / "monitoring/alerts.yaml", queries):
        done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def named(kind: str, name: str) -> dict:
    """Return one document of the base."""
    (found,) = (
        document
        for place, document in documents()
        if place.startswith("base/")
        and document["kind"] == kind
        and document["metadata"]["name"] == name
    )
    return found


def test_workers_reach_the_internal_port_of_gateways_and_no_other():
    rules = named("NetworkPolicy", "candela-worker")["spec"]["egress"]
    to_gateways = [
        rule
        for rule in rules
        if any(
            each.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
            == "gateway"
            for each in rule["to"]
        )
    ]
    assert [rule["ports"] for rule in to_gateways] == [[{"port": "internal"}]]
    (service,) = named("Service", "candela-gateway-internal")["spec"]["ports"]
    assert service["targetPort"] == "internal"
    base = settings_of(FOLDER / "base/kustomization.yaml")
    assert base["CANDELA_WORKER_URL"] == "http://candela-gateway-internal"


def test_only_workers_with_the_label_of_a_declared_network_reach_public_addresses():
    policies = [
        document
        for place, document in documents()
        if place.startswith("base/") and document["kind"] == "NetworkPolicy"
    ]
    leading_out = {
        policy["metadata"]["name"]: policy["spec"]["podSelector"]["matchLabels"]
        for policy in policies
        for rule in policy["spec"].get("egress", ())
        if any("ipBlock" in each for each in rule.get("to", ()))
    }
    worker = {"app.kubernetes.io/name": "candela", "app.kubernetes.io/component": "worker"}
    assert leading_out == {"candela-worker-network": worker | {NETWORK_LABEL: "public"}}
    everybody = named("NetworkPolicy", "candela-nobody")["spec"]
    assert (everybody.get("egress"), everybody["policyTypes"]) == (None, ["Ingress", "Egress"])


def test_probes_and_metrics_are_at_the_internal_port_and_no_ingress_leads_there():
    template = named("Deployment", "candela-gateway")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "internal"
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == "internal")
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    assert container["args"][-2:] == ["--internal-bind", f"0.0.0.0:{port}"]
    ingresses = [document for _, document in documents() if document["kind"] == "Ingress"]
    assert ingresses
    assert "internal" not in yaml.safe_dump_all(ingresses)


@pytest.mark.parametrize("pod", pods())
def test_a_pod_fills_no_disk_of_its_node(pod):
    for volume in pod.get("volumes", ()):
        if "emptyDir" in volume:
            assert "sizeLimit" in volume["emptyDir"], volume["name"]


def test_users_reach_a_gateway_in_production_by_the_ingress_alone():
    kustomization = yaml.safe_load((FOLDER / "overlays/production/kustomization.yaml").read_text())
    (patch,) = (
        yaml.safe_load(each["patch"])
        for each in kustomization["patches"]
        if each["target"] == {"kind": "NetworkPolicy", "name": "candela-gateway"}
    )
    (public,) = (each for each in patch if each["path"] == "/spec/ingress/0/from")
    first = named("NetworkPolicy", "candela-gateway")["spec"]["ingress"][0]
    assert first == {"ports": [{"port": "http"}]}
    assert public["value"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]


PATHS = {
    "/geoserver/wps": "gateway",
    "/geoserver/ows": "gateway",
    "/geoserver/wms": "geoserver",
    "/geoserver/candela_all/wms": "geoserver",
    "/geoserver/candela_all/ows": "geoserver",
    "/geoserver/candela_all/ChangeDetect_1_change/wfs": "geoserver",
    "/geoserver/gwc/service/wmts": "geoserver",
    "/geoserver/rest/workspaces": "nobody",
    "/geoserver/gwc/rest/layers": "nobody",
    "/geoserver/web/": "nobody",
}


@pytest.mark.parametrize(("path", "server"), PATHS.items())
def test_the_ingress_takes_the_wps_at_geoservers_address_to_the_gateway(path, server):
    """ingress-nginx takes the longest pattern that matches first."""
    rules = component("geoserver")["Ingress candela-geoserver"]["spec"]["rules"]
    paths = sorted(rules[0]["http"]["paths"], key=lambda each: -len(each["path"]))
    found = [each for each in paths if re.match(each["path"], path)]
    name = found[0]["backend"]["service"]["name"].removeprefix("candela-") if found else "nobody"
    assert name == server


@pytest.mark.parametrize(("path", "server"), PATHS.items())
def test_the_proxy_of_compose_does_too(path, server):
    text = (ROOT / "containers/compose-nginx.conf").read_text()
    places = re.findall(r"location (=|~|) ?(\S+) \{\s+(?:proxy_pass http://(\w+)|return 404)", text)
    exact = [target for kind, place, target in places if kind == "=" and place == path]
    matching = [target for kind, place, target in places if kind == "~" and re.match(place, path)]
    assert (exact + matching + ["nobody"])[0] == server


def test_the_proxy_of_compose_lets_nobody_say_who_he_is():
    text = (ROOT / "containers/compose-nginx.conf").read_text()
    for header in ("X-Forwarded-User", "X-Candela-Proxy"):
        assert f'\n  proxy_set_header {header} "";\n' in text
    assert "proxy_buffering off" not in text
