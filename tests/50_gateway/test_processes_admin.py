"""Processes that operators add, replace and remove over HTTP."""

import pytest
import yaml
from packages import PACKAGE, install, shout

from candela.errors import InvalidValueError
from candela.gateway.app import Gateway
from candela.gateway.registration import Registration
from candela.settings import Settings

BASE = "http://candela.test"
YAML = {"Content-Type": "application/yaml"}
DIGEST = "sha256:" + 64 * "a"
IMAGE = f"registry.example.org/candela/shout@{DIGEST}"


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """Install shout-tools 1.2.0."""
    install(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")


@pytest.fixture
def gateway(tmp_path):
    """Return a function that makes gateways on one database."""
    made = []

    def make(**settings):
        given = {"data": tmp_path, "grace_s": 0, "manage_processes": True, **settings}
        made.append(Gateway.assemble(Settings(url=BASE, **given)))
        return made[-1].application().test_client()

    yield make
    for each in made:
        each.stop()


def post(http, text):
    return http.post("/processes", data=text.encode(), headers=YAML)


def test_a_process_is_added_described_replaced_and_removed(gateway):
    http = gateway()
    answer = post(http, shout())
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{BASE}/processes/Shout")
    assert answer.json == {"id": "Shout", "version": "1.0.0", "title": "A shout"}
    assert post(http, shout()).status_code == 200
    wps = "/wps?service=WPS&version=1.0.0&request="
    assert b">Shout<" in http.get(f"{wps}GetCapabilities").data
    assert b">A shout<" in http.get(f"{wps}DescribeProcess&identifier=Shout").data
    accepted = http.get(f"{wps}Execute&identifier=Shout&datainputs=literal=a&status=true"
                        "&storeExecuteResponse=true")  # fmt: skip
    assert b"ProcessAccepted" in accepted.data
    louder = shout(version="1.1.0", title="Louder")
    answer = http.put("/processes/Shout", data=louder.encode(), headers=YAML)
    assert (answer.status_code, answer.json["version"]) == (200, "1.1.0")
    assert b">Louder<" in http.get(f"{wps}GetCapabilities").data
    assert http.delete("/processes/Shout").status_code == 204
    assert b">Shout<" not in http.get(f"{wps}GetCapabilities").data
    address = accepted.text.partition('statusLocation="')[2].partition('"')[0]
    status = http.get(address.removeprefix(BASE))
    assert b'processVersion="1.0.0"' in status.data
    assert b">A shout<" in status.data


def test_another_gateway_of_the_database_offers_it_at_once(gateway):
    here, there = gateway(), gateway()
    describe = "/wps?service=WPS&version=1.0.0&request=DescribeProcess&identifier=Shout"
    assert there.get(describe).status_code == 400
    assert post(here, shout()).status_code == 201
    assert b">A shout<" in there.get(describe).data


@pytest.mark.parametrize(
    ("method", "path", "text", "status", "locator"),
    [
        ("POST", "/processes", shout(title="Another"), 409, "identifier"),
        ("PUT", "/processes/Shout", shout(title="Another"), 409, "version"),
        ("PUT", "/processes/Whisper", shout(), 400, "identifier"),
        ("PUT", "/processes/Whisper", shout().replace("Shout", "Whisper", 1), 400, "run.package"),
        ("POST", "/processes", shout().replace("Shout", "Echo", 1), 400, "run.package"),
        ("DELETE", "/processes/Echo", "", 409, "identifier"),
        ("DELETE", "/processes/Whisper", "", 404, "identifier"),
    ],
)
def test_what_cannot_be_changed_is_refused_with_a_problem(
    gateway, method, path, text, status, locator
):
    http = gateway()
    assert post(http, shout()).status_code == 201
    answer = http.open(path, method=method, data=text.encode(), headers=YAML)
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.json["locator"] == locator


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data", ""])
def test_a_form_of_another_site_adds_nothing(gateway, media_type):
    answer = gateway().post("/processes", data=shout(), headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json["locator"]) == (400, "body")


def test_without_the_setting_nothing_is_served_there(gateway):
    http = gateway(manage_processes=False)
    assert post(http, shout()).status_code in {404, 405}
    assert http.delete("/processes/Echo").status_code in {404, 405}


ON_ONE_MACHINE = Registration.of(Settings())
IN_CLUSTER = Registration.of(
    Settings(
        runner="kubernetes", job_template="job.yaml", process_memory="1Gi",
        process_images=("registry.example.org/candela", "example.org/one/shout"),
    )
)  # fmt: skip
LIMITS = "cpu: 0.1, memory: 256Mi, timeout: 60"


def refused(registration, text):
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InvalidValueError) as error:
        registration.checked(content)
    return error.value.locator, error.value.message


@pytest.mark.parametrize(
    ("text", "locator", "message"),
    [
        (shout().replace("title: A shout", "titel: A shout"), "title", "process.yaml:1: title"),
        (shout().replace("type: text", "type: words"), "outputs.shout.type", "process.yaml:8:"),
        ("identifier: [", "body", "process.yaml:"),
        ("identifier: Sh\x01out", "body", "process.yaml"),
        (b"identifier: \xff", "body", "no UTF-8"),
        ("", "file", "process.yaml:1"),
        ("- 1", "file", "process.yaml:1"),
        ("a: &a [1]\nb: *a", "body", "process.yaml:2: aliases are not allowed"),
        ("[" * 5000, "body", "nested too deeply"),
        ("a: 2020-13-13", "body", "month must be in"),
        ("!!python/object:os.system {}", "body", "process.yaml:1:"),
        (shout().replace("A text", '"a \\0"'), "inputs.literal.title", "no text"),
        (shout().replace("A text", '"a \\ud800"'), "body", "process.yaml"),
        (shout().replace("identifier: Shout", f"identifier: S{63 * 'x'}"), "identifier", "63"),
        (shout().replace("identifier: Shout", "identifier: Shout-"), "identifier", "expected"),
        (shout(version="1.0.1000000000000000000000"), "version", "at most 20"),
        (shout().replace("type: string", "type: integer, minimum: .inf"),
         "inputs.literal.minimum", "finite"),
        (shout().replace("type: string", "type: string, maxOccurs: 99999999999"),
         "inputs.literal.maxOccurs", "above"),
        (shout().replace("type: text", "type: raster, publish: {style: none}"),
         "outputs", "style"),
    ],
)  # fmt: skip
def test_a_wrong_process_yaml_is_refused_with_its_place(text, locator, message):
    found = refused(ON_ONE_MACHINE, text)
    assert found[0] == locator, found
    assert message in found[1]


@pytest.mark.parametrize(
    ("run", "locator", "message"),
    [
        (LIMITS, "run.package", "name==1.2.0"),
        (f"image: '{IMAGE}'", "run.package", "there is no run.image"),
        ("package: shout-tools", "run.package", "process.yaml:10"),
        ("package: 'shout-tools>=1'", "run.package", "process.yaml:10"),
        ("package: ../shout==1.0.0", "run.package", "process.yaml:10"),
        ("package: /tmp/shout==1.0.0", "run.package", "process.yaml:10"),
        ("package: os==1.0.0", "run.package", "os is not installed"),
        ("package: shout-tools==1.1.0", "run.package", "1.1.0 is expected, 1.2.0 is installed"),
        ("package: PyYAML==VERSION", "run.package", "one entry point of candela.processes"),
        (f"{PACKAGE}, gpu: 1", "run.gpu", "at most 0 is allowed"),
        (PACKAGE.replace("256Mi", "9Gi"), "run.memory", "at most 8Gi is allowed"),
        (PACKAGE.replace("cpu: 0.1", "cpu: 5"), "run.cpu", "at most 4 is allowed"),
        (PACKAGE.replace("timeout: 60", "timeout: 86401"), "run.timeout", "at most 86400 s"),
    ],
)
def test_on_one_machine_the_code_is_a_pinned_package_within_the_limits(run, locator, message):
    found = refused(ON_ONE_MACHINE, shout(run=run.replace("VERSION", yaml.__version__)))
    assert found[0] == locator, found
    assert message in found[1]


@pytest.mark.parametrize(
    "point", ["Shout = os:system", "Shout = shout_tools:run", "Shout = ../evil", "Shout = /bin/sh"]
)
def test_an_entry_point_that_is_no_module_is_refused(tmp_path, point):
    install(tmp_path / "site-packages", point=point)
    assert "is no module" in refused(ON_ONE_MACHINE, shout())[1]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("registry.example.org/candela/shout:1.0", "nor an image by digest"),
        (f"registry.example.org/candela/shout@{DIGEST[:-1]}", "nor an image by digest"),
        (f"registry.example.org/candela/shout@{DIGEST} --privileged", "nor an image by digest"),
        (f"registry.example.org/shout@{DIGEST}", "not of an allowed repository"),
        (f"registry.example.org/candela-other/shout@{DIGEST}", "not of an allowed repository"),
        (f"example.org/one/shout2@{DIGEST}", "not of an allowed repository"),
        ("python", "names an image by digest"),
    ],
)
def test_in_a_cluster_only_an_allowed_image_by_digest_is_taken(image, message):
    locator, found = refused(IN_CLUSTER, shout(run=f"image: '{image}', memory: 512Mi"))
    assert locator == "run.image"
    assert message in found
    for allowed in (IMAGE, f"example.org/one/shout@{DIGEST}"):
        run = f"image: '{allowed}', memory: 512Mi"
        assert IN_CLUSTER.checked(shout(run=run).encode()).run.image == allowed


def test_network_is_denied_unless_it_is_declared():
    assert not ON_ONE_MACHINE.checked(shout().encode()).run.network
    assert ON_ONE_MACHINE.checked(shout(run=f"{PACKAGE}, network: true").encode()).run.network
