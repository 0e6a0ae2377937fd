"""One job in three protocols: submitted in one, followed in another, dismissed in the third."""

from contextlib import ExitStack
from itertools import permutations

import pytest
from databases import NO_POSTGRES, find_binaries, postgres_server

from candela.gateway.app import Gateway
from candela.settings import Settings

BASE = "http://candela.test"
WPS10 = "http://www.opengis.net/wps/1.0.0"
WPS20 = "http://www.opengis.net/wps/2.0"
NAMES = 'xmlns:wps="http://www.opengis.net/wps/2.0" xmlns:ows="http://www.opengis.net/ows/2.0"'


class Wps10:
    """WPS 1.0.0, which cannot dismiss."""

    def __init__(self, http):
        self.http = http

    def submit(self, text):
        root = self.http.get(
            "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
            f"&storeExecuteResponse=true&status=true&DataInputs=literal={text}"
        ).root
        return root.get("statusLocation").rpartition("/")[2]

    def state(self, job):
        answer = self.http.get(f"/wps/status/{job}").root
        return answer.find(f"{{{WPS10}}}Status")[0].tag.rpartition("}Process")[2].lower()

    def result(self, job):
        outputs = self.http.get(f"/wps/status/{job}").root.iter(f"{{{WPS10}}}LiteralData")
        return next(outputs).text


class Wps20:
    """WPS 2.0."""

    def __init__(self, http):
        self.http = http

    def ask(self, name, job):
        query = f"/wps?service=WPS&version=2.0.0&request={name}&jobid={job}"
        return self.http.get(query).root

    def submit(self, text):
        document = (
            f'<wps:Execute {NAMES} service="WPS" version="2.0.0" mode="async" response="document">'
            '<ows:Identifier>Echo</ows:Identifier><wps:Input id="literal"><wps:Data>'
            f"<wps:LiteralValue>{text}</wps:LiteralValue></wps:Data></wps:Input></wps:Execute>"
        )
        return self.http.post("/wps", data=document).root.findtext(f"{{{WPS20}}}JobID")

    def state(self, job):
        return self.ask("GetStatus", job).findtext(f"{{{WPS20}}}Status").lower()

    def dismiss(self, job):
        return self.ask("Dismiss", job).findtext(f"{{{WPS20}}}Status").lower()

    def result(self, job):
        return next(self.ask("GetResult", job).iter(f"{{{WPS20}}}LiteralValue")).text


class OgcApi:
    """OGC API - Processes."""

    def __init__(self, http):
        self.http = http

    def submit(self, text):
        answer = self.http.post(
            "/processes/Echo/execution",
            json={"inputs": {"literal": text}, "response": "document"},
            headers={"Prefer": "respond-async"},
        )
        return answer.json["jobID"]

    def state(self, job):
        found = self.http.get(f"/jobs/{job}").json["status"]
        return "succeeded" if found == "successful" else found

    def dismiss(self, job):
        return self.http.delete(f"/jobs/{job}").json["status"]

    def result(self, job):
        return self.http.get(f"/jobs/{job}/results").json["literalOutput"]


PROTOCOLS = (Wps10, Wps20, OgcApi)
DISMISSED = {"dismissed", "failed"}  # WPS 1.0.0 has no other word for it


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway_on(request, tmp_path_factory):
    """Return a function that makes a gateway on a database of one of the two kinds."""
    with ExitStack() as stack:
        options = {"data": tmp_path_factory.mktemp("gateway"), "url": BASE, "grace_s": 0}
        if request.param == "postgresql":
            binaries = find_binaries()
            if binaries is None:
                pytest.skip(NO_POSTGRES)
            options["database"] = stack.enter_context(postgres_server(binaries))
        gateway = Gateway.assemble(Settings(**options))
        stack.callback(gateway.stop)
        yield gateway


@pytest.fixture(scope="module")
def client(gateway_on, http):
    """Return an HTTP client whose documents are checked."""
    app = gateway_on.application()
    app.test_client_class = type(http)
    return app.test_client()


@pytest.mark.parametrize(
    "order",
    [order for order in permutations(PROTOCOLS) if hasattr(order[2], "dismiss")],
    ids=lambda order: "-".join(each.__name__ for each in order),
)
def test_a_job_is_submitted_followed_and_dismissed(client, order):
    first, second, third = (protocol(client) for protocol in order)
    job = first.submit("x")
    assert second.state(job) == "accepted"
    assert third.dismiss(job) == "dismissed"
    assert first.state(job) in DISMISSED
    assert second.state(job) in DISMISSED


def test_the_result_of_a_job_is_the_same_everywhere(client, gateway_on):
    protocols = [protocol(client) for protocol in PROTOCOLS]
    job = Wps20(client).submit("x")
    gateway_on.start()
    gateway_on.jobs.store.wait(job, 30)
    assert [protocol.state(job) for protocol in protocols] == ["succeeded"] * 3
    assert [protocol.result(job) for protocol in protocols] == ["x"] * 3
