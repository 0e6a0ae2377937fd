"""Who may ask what: every route, by every role.

``DECISIONS`` has one line for each method of each rule of the URL map; a route without one fails
the test. Each line is carried out as anonymous, owner, another owner and operator:

open        all get the same answer, without a trace of what the owner has
own         the owner and operators get it; others what they get where nothing is
listed      all get an answer; what the owner has is in that of the owner and operators alone
its owner   as own, or listed, but operators too see their own alone
operators   operators get it; others what they get at an address that is not served
token       a worker's token decides, whoever asks
makes       what is made belongs to who asks
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from flask import Flask
from owned import ANNOUNCED, BASE, CONTENT, ROLES, Estate, estate
from packages import install, shout
from werkzeug.test import TestResponse

from candela.gateway.app import Gateway
from candela.gateway.ops import warm_pods
from candela.jobs.principal import SYSTEM
from candela.settings import Settings

MAP = (
    "service=WMS&version=1.3.0&request=GetMap&styles=&crs=CRS:84&bbox=9,45,9.1,45.1"
    "&width=9&height=9"
)
INFO = MAP.replace("GetMap", "GetFeatureInfo") + "&i=1&j=1&info_format=application/json"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
XML = {"Content-Type": "text/xml"}
JSON = {"Content-Type": "application/json"}
HTML = {"Accept": "text/html"}
YAML = {"Content-Type": "application/yaml"}
PROCESS = shout().encode()
PART = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
LABELS = b'{"scheme": "earth", "labels": {"{patch}": "B"}}'
EXECUTE = (
    b'<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" service="WPS" version="1.0.0" '
    b'xmlns:ows="http://www.opengis.net/ows/1.1"><ows:Identifier>Echo</ows:Identifier>'
    b"<wps:DataInputs/></wps:Execute>"
)
DESCRIBE = (
    b'<DescribeCoverage xmlns="http://www.opengis.net/wcs/2.0" service="WCS" version="2.0.1">'
    b"<CoverageId>{raster}</CoverageId></DescribeCoverage>"
)


class Ask(NamedTuple):
    """A request; ``{job}`` and other kinds stand for what the owner has."""

    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class Decision(NamedTuple):
    """What is to happen at a route, and how it is asked."""

    rule: str
    asks: tuple[Ask, ...]


def decided(rule: str, *asks: Ask | str) -> Decision:
    return Decision(rule, tuple(Ask(ask) if isinstance(ask, str) else ask for ask in asks))


DECISIONS = {
    "GET /": decided("listed", Ask("/", HTML)),
    "GET /api": decided("open", "/api", Ask("/api", HTML)),
    "GET /conformance": decided("open", "/conformance", Ask("/conformance", HTML)),
    "GET /processes": decided("open", "/processes", "/processes?limit=1&offset=1&f=html"),
    "GET /processes/<process_id>": decided("open", "/processes/Echo", "/processes/Echo?f=html"),
    "POST /processes/<process_id>/execution": decided(
        "makes", Ask("/processes/Echo/execution", JSON, b"{}")
    ),
    "POST /processes/<process_id>/validation": decided(
        "open", Ask("/processes/Echo/validation", JSON, b"{}"),
        Ask("/processes/Echo/execution", JSON | {"Prefer": "dry-run"}, b"{}"),
    ),
    "GET /static/<path:filename>": decided("open", "/static/nothing"),
    "GET /assets/<path:filename>": decided("open", "/assets/candela.css"),
    "GET /map": decided("open", Ask("/map", HTML)),
    "GET /layers.json": decided("listed", "/layers.json"),
    "GET /healthz": decided("open", "/healthz"),
    "GET /readyz": decided("open", "/readyz"),
    "GET /metrics": decided("operators", "/metrics"),
    "GET /usage": decided("listed", "/usage"),
    "GET /warm/<name>": decided("token"),  # tests/50_gateway/test_warm_pods.py
    "GET /wps": decided(
        "open", "/wps?service=WPS&request=GetCapabilities",
        "/wps?service=WPS&version=1.0.0&request=DescribeProcess&identifier=Echo",
    ),
    "POST /wps": decided("makes", Ask("/wps", XML, EXECUTE)),
    "GET /geoserver/wps": decided("open", "/wps?service=WPS&request=GetCapabilities"),  # the same
    "POST /geoserver/wps": decided("makes", Ask("/wps", XML, EXECUTE)),
    "GET /geoserver/ows": decided("open", "/wps?service=WPS&request=GetCapabilities"),
    "POST /geoserver/ows": decided("makes", Ask("/wps", XML, EXECUTE)),
    "GET /wps/status/<job_id>": decided("own", "/wps/status/{job}"),
    "GET /outputs/<job_id>/<file>": decided("own", "/outputs/{job}/{file}"),
    "GET /outputs/<token>/<job_id>/<file>": decided("token"),  # test_geoserver.py
    "GET /jobs": decided("listed", "/jobs", "/jobs?processID=Echo&status=successful&limit=9"),
    "GET /jobs/<job_id>": decided("own", "/jobs/{job}", Ask("/jobs/{job}", HTML)),
    "DELETE /jobs/<job_id>": decided("own", "/jobs/{job}"),
    "GET /jobs/<job_id>/results": decided(
        "own", "/jobs/{job}/results", Ask("/jobs/{job}/results", HTML)
    ),
    "GET /jobs/<job_id>/results/<output>": decided("own", "/jobs/{job}/results/complexOutput"),
    "GET /jobs/<job_id>/request": decided(
        "own", "/jobs/{job}/request", "/jobs/{job}/request?f=html"
    ),
    "GET /jobs/<job_id>/log": decided("own", "/jobs/{job}/log"),
    "GET /jobs/<job_id>/events": decided("own", "/jobs/{job}/events"),
    "POST /jobs/<job_id>/progress": decided("token", "/jobs/{job}/progress"),
    "POST /processes": decided("operators", Ask("/processes", YAML, PROCESS)),
    "PUT /processes/<identifier>": decided("operators", Ask("/processes/Shout", YAML, PROCESS)),
    "DELETE /processes/<identifier>": decided("operators", "/processes/Shout"),
    "POST /uploads": decided("makes", Ask("/uploads", ANNOUNCED)),
    "OPTIONS /uploads": decided("open", "/uploads"),
    "GET /uploads/<secret>": decided("own", "/uploads/{secret}"),
    "PATCH /uploads/<secret>": decided("own", Ask("/uploads/{secret}", PART, CONTENT)),
    "DELETE /uploads/<secret>": decided("own", "/uploads/{secret}"),
    "GET /ows": decided(
        "listed", "/ows?service=WMS&request=GetCapabilities",
        "/ows?service=WCS&version=2.0.1&request=GetCapabilities",
        "/ows?service=WFS&version=2.0.0&request=GetCapabilities",
    ),
    "POST /ows": decided(
        "listed", Ask("/ows", FORM, b"service=WMS&request=GetCapabilities"),
        Ask("/ows", FORM, b"service=WFS&version=2.0.0&request=GetCapabilities"),
    ),
    "GET /ows/<layer>/<any(wms, wcs, wfs):kind>": decided(
        "own", "/ows/{raster}/wms", "/ows/{raster}/wcs", "/ows/{polygons}/wfs",
        f"/ows/{{raster}}/wms?{MAP}&layers={{raster}}&format=image/png",
        f"/ows/{{raster}}/wms?{INFO}&layers={{raster}}&query_layers={{raster}}",
        "/ows/{raster}/wcs?service=WCS&version=2.0.1&request=GetCoverage&coverageid={raster}",
        "/ows/{polygons}/wfs?service=WFS&version=2.0.0&request=GetFeature&typenames={polygons}",
        f"/ows?{MAP}&layers={{raster}}&format=image/png",
        "/ows?service=WCS&version=2.0.1&request=GetCoverage&coverageid={raster}",
        "/ows?service=WFS&version=2.0.0&request=GetFeature&typenames={polygons}",
    ),
    "POST /ows/<layer>/<any(wms, wcs, wfs):kind>": decided(
        "own", Ask("/ows/{raster}/wcs", XML, DESCRIBE),
        Ask("/ows/{raster}/wms", FORM, b"service=WMS&request=GetCapabilities"),
        Ask("/ows", XML, DESCRIBE),
    ),
    "GET /stac": decided("open", "/stac"),
    "GET /stac/conformance": decided("open", "/stac/conformance"),
    "GET /stac/collections": decided("open", "/stac/collections"),
    "GET /stac/collections/<process>": decided("open", "/stac/collections/SarChangeDetect"),
    "GET /stac/collections/<process>/items": decided(
        "listed", "/stac/collections/SarChangeDetect/items"
    ),
    "GET /stac/collections/<process>/items/<item>": decided(
        "own", "/stac/collections/SarChangeDetect/items/{mapped}.change"
    ),
    "GET /stac/search": decided("listed", "/stac/search"),
    "POST /stac/search": decided(
        "listed", Ask("/stac/search", JSON, b'{"bbox": [8, 45, 10, 46]}'),
        Ask("/stac/search", JSON, b'{"ids": ["{mapped}.change"]}'),
    ),
    "GET /patches": decided("open", "/patches"),
    "GET /patches/schemes": decided("open", "/patches/schemes"),
    "GET /patches/schemes/<name>": decided("open", "/patches/schemes/earth"),
    "GET /patches/feature-sets": decided("open", "/patches/feature-sets"),
    "GET /patches/products": decided("its owner, listed", "/patches/products"),
    "GET /patches/items": decided("its owner, listed", "/patches/items"),
    "GET /patches/items/<patch>": decided("its owner", "/patches/items/{patch}"),
    "GET /patches/items/<patch>/quicklook": decided(
        "its owner", "/patches/items/{patch}/quicklook"
    ),
    "GET /patches/statistics": decided("its owner, listed", "/patches/statistics?scheme=earth"),
    "GET /patches/changes": decided(
        "its owner", "/patches/changes?before={product}&after={product}&scheme=earth"
    ),
    "GET /patches/confusion": decided("its owner, listed", "/patches/confusion?scheme=earth"),
    "POST /patches/annotations": decided(
        "its owner",
        Ask("/patches/annotations", JSON, LABELS),
    ),
}  # fmt: skip


MADE_ANEW = {"DELETE /jobs/<job_id>", "PATCH /uploads/<secret>", "DELETE /uploads/<secret>"}
NOBODY = {"X-User": "jane-seymour"}  # who has nothing


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    packages = tmp_path_factory.mktemp("packages")
    install(packages)
    with pytest.MonkeyPatch.context() as patch, estate(tmp_path_factory.mktemp("estate")) as made:
        patch.syspath_prepend(packages)
        yield made


def routes(app: Flask) -> set[str]:
    """Return the methods and rules of an application; HEAD goes with GET."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD"
        and not (method == "OPTIONS" and getattr(rule, "provide_automatic_options", False))
    }


def test_every_route_has_a_decision(owned: Estate, tmp_path) -> None:
    (tmp_path / "password").write_text("secret")
    beside = Gateway.assemble(
        Settings(
            url=BASE, data=tmp_path, publisher="geoserver", geoserver_url=f"{BASE}/geoserver",
            geoserver_user="candela", geoserver_password_file=tmp_path / "password",
            geoserver_mode="http", owner_header="X-User",
        )
    )  # fmt: skip
    cluster = Flask("cluster")
    cluster.register_blueprint(warm_pods.blueprint(None, b"key"))
    apps = (owned.gateway.application(), beside.application(), cluster)
    beside.stop()
    assert set().union(*map(routes, apps)) == set(DECISIONS)


def sent(
    owned: Estate, key: str, ask: Ask, who: Mapping[str, str], things: Mapping[str, str]
) -> TestResponse:
    """Send a request about some things."""
    body = ask.body.decode()
    for kind, thing in things.items():
        body = body.replace(f"{{{kind}}}", thing)
    path = ask.path.format(**things)
    headers = {**ask.headers, **who}
    method = key.partition(" ")[0]
    answer = owned.http.open(path, method=method, headers=headers, data=body, buffered=True)
    if method == "GET":
        with owned.http.head(path, headers=headers) as head:
            assert (head.status_code, head.data) == (answer.status_code, b"")
    return answer


def said(answer: TestResponse, owned: Estate) -> tuple[int, str, str]:
    """Return what an answer says, with names of what is not there for names of what is."""
    text = answer.data.decode("latin-1")
    for kind in ("job", "raster", "polygons", "secret", "product", "mapped"):
        text = text.replace(owned.things[kind], owned.missing[kind])
    if answer.status_code != 200:
        text = re.sub(r"(patch |items/)1\b", rf"\g<1>{owned.missing['patch']}", text)
    return answer.status_code, answer.mimetype, text


def check_no_trace(answer: TestResponse, owned: Estate) -> None:
    text = answer.data.decode("latin-1") + str(answer.headers)
    assert [trace for trace in owned.traces if trace in text] == []


def asks(*rules: str) -> list[Any]:
    """Return the requests of some rules, as parameters of a test."""
    return [
        pytest.param(key, ask, id=f"{key.partition(' ')[0]} {ask.path}")
        for key, decision in DECISIONS.items()
        if decision.rule in rules
        for ask in decision.asks
    ]


@pytest.mark.parametrize(("key", "ask"), asks("open"))
def test_what_is_open_is_the_same_for_all(owned: Estate, key: str, ask: Ask) -> None:
    answers = [sent(owned, key, ask, who, owned.things) for who in ROLES.values()]
    for answer in answers:
        assert answer.status_code == answers[0].status_code
        assert answer.data == answers[0].data
        check_no_trace(answer, owned)


@pytest.mark.parametrize(("key", "ask"), asks("own", "its owner"))
def test_what_is_owned_is_not_there_for_others(owned: Estate, key: str, ask: Ask) -> None:
    seeing = {"owner"} if DECISIONS[key].rule == "its owner" else {"owner", "operator"}
    for role, who in ROLES.items():  # others first: what they ask for must not be gone
        if role not in seeing:
            answer = sent(owned, key, ask, who, owned.things)
            is_refused = answer.status_code in {400, 404} or "ServiceException" in answer.text
            assert is_refused, role  # with an image asked for, WMS tells of exceptions with 200
            assert said(answer, owned) == said(sent(owned, key, ask, who, owned.missing), owned)
    for role in seeing:
        things = owned.things
        if key in MADE_ANEW:
            things = things | {"job": owned.job(), "secret": owned.upload()}
        assert sent(owned, key, ask, ROLES[role], things).status_code in {200, 204}, role


@pytest.mark.parametrize(("key", "ask"), asks("listed", "its owner, listed"))
def test_what_is_listed_has_what_one_may_see(owned: Estate, key: str, ask: Ask) -> None:
    seeing = {"owner", "operator"} if DECISIONS[key].rule == "listed" else {"owner"}
    nothing = sent(owned, key, ask, NOBODY, owned.things)
    for role, who in ROLES.items():
        answer = sent(owned, key, ask, who, owned.things)
        assert answer.status_code == 200, role
        assert (answer.data != nothing.data) == (role in seeing), role
        if role not in seeing:
            check_no_trace(answer, owned)


def test_who_has_nothing_is_told_of_nothing(owned: Estate) -> None:
    listed = owned.http.get("/jobs", headers=NOBODY).json
    assert (listed["jobs"], listed["numberTotal"]) == ([], 0)
    assert "<h2>Jobs <small>0</small></h2>" in owned.http.get("/", headers=NOBODY | HTML).text
    assert owned.http.get("/usage", headers=NOBODY).json == {"usage": []}
    assert owned.http.get("/layers.json", headers=NOBODY).json == {"layers": [], "series": []}


@pytest.mark.parametrize(("key", "ask"), asks("operators"))
def test_what_is_for_operators_is_served_to_nobody_else(owned: Estate, key, ask) -> None:
    for role, who in ROLES.items():
        answer = sent(owned, key, ask, who, owned.things)
        if role == "operator":
            assert answer.status_code in {200, 201, 204}
        else:
            method = key.partition(" ")[0]
            other = owned.http.open("/nothing", method=method, headers=who)
            told = answer.text.replace(ask.path, "/nothing")
            assert (answer.status_code, told) == (404, other.text), role


@pytest.mark.parametrize(("key", "ask"), asks("token"))
def test_a_token_decides_whoever_asks(owned: Estate, key: str, ask: Ask) -> None:
    answers = {
        said(sent(owned, key, ask, who, things), owned)
        for who in ROLES.values()
        for things in (owned.things, owned.missing)
    }
    ((status, _, text),) = answers  # whether there is such a job or not
    assert status == 403
    assert "this token does not belong to the job" in text


@pytest.mark.parametrize(("key", "ask"), asks("makes"))
def test_what_is_made_belongs_to_who_asks(owned: Estate, key: str, ask: Ask) -> None:
    for who in ROLES.values():
        answer = sent(owned, key, ask, who, owned.things)
        assert answer.status_code in {200, 201}
        if not ask.path.startswith("/uploads"):
            (job,) = owned.gateway.jobs.newest(SYSTEM, 1)
            assert job.owner == who.get("X-User", "")
        else:
            secret = answer.headers["Location"].rpartition("/")[2]
            assert owned.gateway.jobs.uploads.find(SYSTEM, secret).owner == who.get("X-User", "")


def test_answers_to_owners_are_not_for_shared_caches(owned: Estate) -> None:
    paths = [ask.values[1].path for ask in asks("own", "listed") if "GET" in ask.values[0]]
    for path in paths:
        answer = owned.http.get(path.format(**owned.things), headers=ROLES["owner"], buffered=True)
        assert answer.cache_control.private, path
        assert not answer.cache_control.public, path
