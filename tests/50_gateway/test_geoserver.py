"""A gateway whose layers are shown by a GeoServer."""

import re

import pytest
from geoserver_double import PASSWORD, USER, GeoServerDouble
from schemas import assert_valid

from candela.contract.job import OutputFile, ResultDocument
from candela.gateway.app import Gateway
from candela.jobs.model import State
from candela.jobs.principal import Principal
from candela.jobs.request import ExecuteRequest
from candela.publish.geoserver.publisher import GeoServerPublisher
from candela.settings import ConfigurationError, Settings

BASE = "http://candela.test"


@pytest.fixture
def double():
    with GeoServerDouble() as double:
        yield double


@pytest.fixture
def settings(tmp_path, double):
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    return {
        "url": BASE, "data": tmp_path / "data", "publisher": "geoserver",
        "geoserver_url": double.url, "geoserver_public_url": "https://maps.example/geoserver",
        "geoserver_user": USER, "geoserver_password_file": password,
        "geoserver_folder": tmp_path / "published",
    }  # fmt: skip


@pytest.fixture
def gateway(settings):
    gateway = Gateway.assemble(Settings(**settings))
    yield gateway
    gateway.stop()


def test_the_settings_make_a_publisher_that_geoserver_lets_in(gateway, double) -> None:
    publisher = gateway.jobs.publisher
    assert isinstance(publisher, GeoServerPublisher)
    publisher.start()
    assert publisher.layers() == []
    assert double.violations == []


def test_pages_work_while_geoserver_is_away(gateway, double) -> None:
    http = gateway.application().test_client()
    assert http.get("/layers.json").get_json() == {"layers": [], "series": []}
    assert http.get("/readyz").get_json() == {"status": "ready"}
    double.break_all("before")
    assert http.get("/layers.json").status_code == 503
    answer = http.get("/readyz")
    assert answer.status_code == 200  # jobs go on without a map
    assert answer.get_json() == {"status": "ready", "degraded": ["map server"]}
    assert http.get("/").status_code == 200


def test_the_address_of_all_layers_leads_to_geoserver(gateway) -> None:
    answer = gateway.application().test_client().get("/ows?service=WMS&request=GetCapabilities")
    assert answer.status_code == 302
    expected = "https://maps.example/geoserver/ows?service=WMS&request=GetCapabilities"
    assert answer.headers["Location"] == expected


CAPABILITIES = """<wps:GetCapabilities xmlns:wps="http://www.opengis.net/wps/1.0.0"
 service="WPS" language="en-US"/>"""


@pytest.fixture
def one_host(settings):
    """Return a client of a gateway that has its GeoServer on its own host."""
    gateway = Gateway.assemble(
        Settings(**settings | {"geoserver_public_url": f"{BASE}/geoserver", "grace_s": 0})
    )
    yield gateway.application().test_client()
    gateway.stop()


@pytest.mark.parametrize("path", ["wps?", "ows?service=WPS&", "ows?SERVICE=wps&"])
def test_the_wps_is_at_the_address_of_geoserver_too(one_host, path) -> None:
    answer = one_host.get(f"/geoserver/{path}service=WPS&request=GetCapabilities")
    links = set(re.findall(r'xlink:href="([^"]*/wps[^"]*)"', assert_valid_text(answer)))
    assert {link.partition("?")[0] for link in links} == {f"{BASE}/geoserver/wps"}
    posted = one_host.post("/geoserver/wps", data=CAPABILITIES, content_type="text/xml")
    assert posted.data == answer.data
    assert f'"{BASE}/wps' in one_host.get("/wps?service=WPS&request=GetCapabilities").text


def test_wps_2_0_is_at_the_address_of_geoserver_too(one_host) -> None:
    query = "service=WPS&request=GetCapabilities&AcceptVersions=2.0.0"
    answer = one_host.get(f"/geoserver/wps?{query}")
    links = set(re.findall(r'xlink:href="([^"]*/wps[^"]*)"', assert_valid_text(answer)))
    assert links == {f"{BASE}/geoserver/wps"}
    document = CAPABILITIES.replace("wps/1.0.0", "wps/2.0").replace(' language="en-US"', "")
    assert one_host.post("/geoserver/ows", data=document).data == answer.data


def test_a_job_that_is_asked_for_there_is_found_by_its_links(one_host) -> None:
    query = "service=WPS&version=1.0.0&request=Execute&identifier=Echo&DataInputs=literal=a"
    answer = one_host.get(f"/geoserver/ows?{query}&storeExecuteResponse=true&status=true")
    (link,) = re.findall(r'statusLocation="([^"]+)"', assert_valid_text(answer))
    assert one_host.get(link.removeprefix(BASE)).status_code == 200


@pytest.mark.parametrize(
    ("query", "body", "place"),
    [
        ("service=WMS&request=GetCapabilities", "", "wms"),
        ("SERVICE=wfs&request=GetFeature", "", "wfs"),
        ("service=WMTS&request=GetCapabilities", "", "gwc/service/wmts"),
        ("service=//evil.example&request=GetMap", "", "wms"),
        ("request=GetMap", "", "wms"),
        ("", '<GetCoverage service="WCS" version="2.0.1"/>', "wcs"),
        ("", '<wfs:GetFeature service="WFS" version="2.0.0"/>', "wfs"),
    ],
)
def test_other_services_asked_there_are_sent_on_to_geoserver(one_host, query, body, place) -> None:
    answer = one_host.open(
        f"/geoserver/ows?{query}", method="POST" if body else "GET", data=body or None
    )
    assert answer.status_code == 307
    assert answer.headers["Location"] == f"{BASE}/geoserver/{place}?{query}".rstrip("?")


def test_a_method_that_the_wps_does_not_take_is_refused_by_a_report_there_too(one_host) -> None:
    for path in ("/wps", "/geoserver/wps", "/geoserver/ows"):
        answer = one_host.put(path)
        assert (answer.status_code, answer.mimetype) == (405, "text/xml")
        assert 'exceptionCode="OperationNotSupported"' in answer.text


@pytest.mark.parametrize("body", [CAPABILITIES, CAPABILITIES.replace('service="WPS" ', "")])
def test_a_document_says_itself_that_it_is_for_the_wps(one_host, body) -> None:
    answer = one_host.post("/geoserver/ows", data=body, content_type="text/xml")
    assert "<wps:Capabilities" in assert_valid_text(answer)


def test_elsewhere_the_address_of_geoserver_is_none_of_ours(gateway) -> None:
    http = gateway.application().test_client()
    assert http.get("/geoserver/wps?service=WPS&request=GetCapabilities").status_code == 404


def assert_valid_text(answer) -> str:
    """Return a document that is valid by the schemas of the OGC."""
    assert answer.status_code == 200
    assert_valid(answer.data)
    return answer.text


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("geoserver_url", "geoserver_url"),
        ("geoserver_user", "geoserver_user"),
        ("geoserver_password_file", "geoserver_password_file"),
        ("geoserver_folder", "geoserver_folder"),
    ],
)
def test_nothing_is_guessed_that_geoserver_needs(settings, without, message) -> None:
    del settings[without]
    with pytest.raises(ConfigurationError, match=f"publisher geoserver needs {message}"):
        Settings.from_environment(**settings)


def test_geoserver_reads_outputs_of_all_owners_by_a_token(settings, tmp_path) -> None:
    settings |= {"geoserver_mode": "http", "owner_header": "X-User"}
    gateway = Gateway.assemble(Settings(**settings))
    http, jobs = gateway.application().test_client(), gateway.jobs
    job_id = jobs.submit(Principal("ann"), "Echo", ExecuteRequest()).id
    made = OutputFile(file="a.tif", media_type="image/tiff", size=4, sha256="0")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    jobs.storage.put(f"jobs/{job_id}/outputs/a.tif", tmp_path / "a.tif")
    move = jobs.store.move
    move(job_id, [State.ACCEPTED], State.DISPATCHING)
    move(job_id, [State.DISPATCHING], State.RUNNING)
    result = ResultDocument(job=job_id, status="succeeded", outputs={"raster": made})
    move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    address = jobs.publisher.granules.outputs_url
    with http.get(f"{address}/{job_id}/a.tif", headers={"Range": "bytes=0-1"}) as answer:
        assert (answer.status_code, answer.data) == (206, b"II")
    wrong = f"{BASE}/outputs/{64 * '0'}"
    for path in (f"/outputs/{job_id}/a.tif", f"{wrong}/{job_id}/a.tif", f"{address}/{job_id}/b"):
        assert http.get(path).status_code == 404
    gateway.stop()


def test_geoserver_needs_no_token_where_everybody_sees_everything(settings) -> None:
    gateway = Gateway.assemble(Settings(**settings, geoserver_mode="http"))
    assert gateway.jobs.publisher.granules.outputs_url == f"{BASE}/outputs"
    gateway.stop()


def test_a_password_file_that_is_not_there_is_named(settings, tmp_path) -> None:
    settings["geoserver_password_file"] = tmp_path / "none"
    with pytest.raises(ConfigurationError, match="none: No such file"):
        Gateway.assemble(Settings(**settings))


def test_private_layers_need_somebody_who_says_who_asks() -> None:
    with pytest.raises(ConfigurationError, match="private_layers needs an owner_header"):
        Settings.from_environment(private_layers=True)
