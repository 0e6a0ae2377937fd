"""Inputs by reference, from the document to the job that fetched them, in each way there is."""

import boto3
import pytest
from webserver import Answer, web_server

from candela.gateway.app import Gateway
from candela.settings import Settings

BASE = "http://candela.test"
DOCUMENT = """\
<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink" service="WPS" version="1.0.0">
 <ows:Identifier>Echo</ows:Identifier>
 <wps:DataInputs><wps:Input><ows:Identifier>complex</ows:Identifier>{reference}</wps:Input>
 </wps:DataInputs>
 <wps:ResponseForm><wps:RawDataOutput><ows:Identifier>complexOutput</ows:Identifier>
 </wps:RawDataOutput></wps:ResponseForm>
</wps:Execute>"""


@pytest.fixture(scope="module")
def web():
    """Return a web server that the operator allows."""
    with web_server() as served:
        yield served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that inputs may be read from."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def client(web, folder, s3_url, tmp_path_factory):
    """Return an HTTP client of a gateway that allows all of these."""
    from buckets import CREDENTIALS

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": s3_url}.items():
            patch.setenv(name, value)
        settings = Settings(
            url=BASE,
            data=tmp_path_factory.mktemp("gateway"),
            sync_timeout_s=120,
            input_folders=(folder,),
            allowed_hosts=(web.url.removeprefix("http://"),),
            input_buckets=("references/open",),
        )
        gateway = Gateway.assemble(settings)
        gateway.start()
        boto3.client("s3").create_bucket(
            Bucket="references", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield gateway.application().test_client()
        gateway.stop()


@pytest.fixture
def execute(client):
    """Return a function that runs Echo on a wps:Reference."""
    return lambda reference: client.post(
        "/wps", data=DOCUMENT.format(reference=reference), buffered=True
    )


def test_a_get_with_headers(execute, web):
    href = web.serve("/get.xml", Answer(b"<got/>"))
    reference = (
        f'<wps:Reference xlink:href="{href}" mimeType="text/xml">'
        '<wps:Header key="X-Token" value="seven"/></wps:Reference>'
    )
    assert execute(reference).data == b"<got/>"
    asked = web.asked[-1]
    assert (asked.method, asked.headers["X-Token"], asked.body) == ("GET", "seven", b"")


def test_a_post_with_a_body(execute, web):
    href = web.serve("/post", Answer(b"<made/>", headers={"Content-Type": "text/xml"}))
    reference = (
        f'<wps:Reference xlink:href="{href}" method="POST">'
        '<wps:Header key="X-Token" value="7"/><wps:Body><q>1</q></wps:Body></wps:Reference>'
    )
    assert execute(reference).data == b"<made/>"
    asked = web.asked[-1]
    assert (asked.method, asked.headers["X-Token"], asked.body) == ("POST", "7", b"<q>1</q>")


@pytest.mark.parametrize("place", ["web", "folder", "bucket"])
def test_a_post_whose_body_stands_elsewhere(execute, web, folder, place):
    body = '<q lang="français">\udcff</q>'.encode(errors="surrogateescape")  # of any bytes
    if place == "web":
        where = web.serve("/query.xml", Answer(body))
    elif place == "folder":
        (folder / "query.xml").write_bytes(body)
        where = (folder / "query.xml").as_uri()
    else:
        boto3.client("s3").put_object(Bucket="references", Key="open/query.xml", Body=body)
        where = "s3://references/open/query.xml"
    href = web.serve("/post", Answer(b"<made/>"))
    reference = (
        f'<wps:Reference xlink:href="{href}" method="POST">'
        f'<wps:BodyReference xlink:href="{where}"/></wps:Reference>'
    )
    assert execute(reference).data == b"<made/>"
    assert (web.asked[-1].method, web.asked[-1].body) == ("POST", body)


def test_a_file_of_a_folder_and_an_object_of_a_bucket(execute, folder):
    (folder / "a b.xml").write_bytes(b"<file/>")
    reference = f'<wps:Reference xlink:href="{(folder / "a b.xml").as_uri()}"/>'
    assert execute(reference).data == b"<file/>"
    boto3.client("s3").put_object(Bucket="references", Key="open/a b.xml", Body=b"<object/>")
    reference = '<wps:Reference xlink:href="s3://references/open/a b.xml"/>'
    assert execute(reference).data == b"<object/>"


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:9/inside",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "file:///etc/passwd",
        "s3://references/closed/a.xml",
    ],
)
@pytest.mark.parametrize("is_body", [False, True])
def test_what_is_not_allowed_is_not_fetched_as_a_body_either(execute, web, where, is_body):
    count = len(web.asked)
    href = web.serve("/post", Answer(b"<made/>"))
    reference = f'<wps:Reference xlink:href="{where}"/>'
    if is_body:
        reference = (
            f'<wps:Reference xlink:href="{href}" method="POST">'
            f'<wps:BodyReference xlink:href="{where}"/></wps:Reference>'
        )
    response = execute(reference)
    assert response.status_code == 400
    assert b'exceptionCode="InvalidParameterValue"' in response.data
    assert b'locator="complex"' in response.data
    assert b"root:" not in response.data
    assert len(web.asked) == count


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ('xlink:href="ftp://h/x">', "no address that can be fetched"),
        ('xlink:href="http://h/x"><wps:Body><q/></wps:Body>', "a body is sent with method POST"),
        ('xlink:href="file:///x" method="POST">', "are for http and https addresses"),
        ('xlink:href="s3://b/x"><wps:Header key="a" value="b"/>', "are for http and https"),
        ('xlink:href="http://h/x"><wps:Header key="a b" value="c"/>', "is no header"),
        ('xlink:href="http://h/x"><wps:Header key="a" value="b&#10;c: d"/>', "is no header"),
        (
            'xlink:href="http://h/x" method="POST"><wps:BodyReference xlink:href="gopher://x"/>',
            "no address that can be fetched",
        ),
        (
            'xlink:href="http://h/x" method="POST"><wps:Body><q/></wps:Body>'
            '<wps:BodyReference xlink:href="http://h/y"/>',
            "has a Body and a BodyReference",
        ),
        ('xlink:href="http://h/x" method="PUT">', "expected GET or POST"),
    ],
)
def test_a_reference_that_makes_no_sense_is_refused_before_there_is_a_job(
    client, execute, reference, reason
):
    count = client.get("/jobs").json["numberTotal"]
    response = execute(f"<wps:Reference {reference}</wps:Reference>")
    assert response.status_code == 400
    assert reason in response.text
    assert client.get("/jobs").json["numberTotal"] == count


def test_a_body_that_is_too_large_is_refused(execute, web, folder):
    from candela.worker.references import MAX_BODY_BYTES

    with (folder / "large").open("wb") as file:
        file.truncate(MAX_BODY_BYTES + 1)
    href = web.serve("/post", Answer(b"<made/>"))
    response = execute(
        f'<wps:Reference xlink:href="{href}" method="POST">'
        f'<wps:BodyReference xlink:href="{(folder / "large").as_uri()}"/></wps:Reference>'
    )
    assert b'exceptionCode="FileSizeExceeded"' in response.data
