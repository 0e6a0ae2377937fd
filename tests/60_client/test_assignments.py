"""``name=value`` means the same to ``candela run`` and to ``candela execute``."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from webserver import Answer, web_server

from candela.cli import main
from candela.client import Client
from candela.client.assignments import read_file
from candela.commands.local import description
from candela.demo.gateway import LocalGateway
from candela.spec import load_specs

both = pytest.mark.parametrize("command", ["run", "execute"])


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """Go to a folder with a file; the home folder has one, too."""
    monkeypatch.chdir(tmp_path)
    Path("note.xml").write_text("<note/>")
    (home / "note.xml").write_text("<home/>")
    Path("out").mkdir()
    return tmp_path


def call(command: str, gateway: LocalGateway, *words: str) -> int:
    if command == "run":
        return main(["run", "Echo", *words, "--outputs", "out"])
    return main(["execute", "Echo", *words, "--url", gateway.url, "--save", "out"])


@both
@pytest.mark.parametrize(
    ("assignments", "shown"),
    [
        (["literal=a=b"], ["literalOutput", "a=b"]),
        (["literal=s3://no/file"], ["s3://no/file"]),
        (["numbers=1", "numbers=2.5"], ["3.5"]),
        (["bbox=1.5,43,2,44"], ["[1.5, 43.0, 2.0, 44.0]"]),
        (["bbox=300000,10,300100,20,EPSG:3857"], ["[300000.0, 10.0, 300100.0, 20.0]"]),
    ],
)
def test_values_mean_the_same(
    command: str,
    assignments: list[str],
    shown: list[str],
    gateway: LocalGateway,
    work: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(command, gateway, *assignments) == 0
    said = capsys.readouterr().out
    assert [text for text in shown if text not in said] == []


@both
@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("note.xml", "<note/>"),
        ("./note.xml", "<note/>"),
        ("~/note.xml", "<home/>"),
        ("<inline/>", "<inline/>"),
        ("<long>" + "x" * 5000 + "</long>", "<long>" + "x" * 5000 + "</long>"),
    ],
)
def test_files_mean_the_same(
    command: str, text: str, content: str, gateway: LocalGateway, work: Path
) -> None:
    assert call(command, gateway, f"complex={text}") == 0
    (made,) = Path("out").glob("*.xml")
    assert made.read_text().rpartition("?>")[2].strip() == content


@both
def test_an_address_of_a_file_means_the_same(
    command: str, gateway: LocalGateway, work: Path, input_folder: Path
) -> None:
    path = input_folder / "shared.xml"
    path.write_text("<shared/>")
    for text in (path.as_uri(), path.as_uri().replace("file:///", "file:/")):
        assert call(command, gateway, f"complex={text}") == 0
        for made in Path("out").glob("*.xml"):
            assert made.read_text() == "<shared/>"
            made.unlink()


@both
@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("literal", "'literal' is no input, expected name=value"),
        (
            "literl=1",
            "Echo has no input 'literl' (inputs: literal, bbox, numbers, image, document, mixed, "
            "complex, pause)",
        ),
        ("bbox=1,2,3", "input 'bbox' is a bounding box: left,bottom,right,top[,EPSG:...]"),
        ("bbox=a,2,3,4", "input 'bbox' is a bounding box: left,bottom,right,top[,EPSG:...]"),
        ("complex=none.xml", "input 'complex': there is no file 'none.xml', and XML begins with <"),
        ("pause=soon", "'soon' is not of type float"),
        ("pause=601", "601.0 is above the maximum 600"),
    ],
)
def test_mistakes_are_told_in_the_same_words(
    command: str,
    assignment: str,
    sentence: str,
    gateway: LocalGateway,
    work: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(command, gateway, assignment) == 2
    assert sentence in capsys.readouterr().err


@both
def test_a_product_that_is_not_there_is_told_in_the_same_words(
    command: str, gateway: LocalGateway, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--url", gateway.url] if command == "execute" else []
    assert main([command, "Jpeg2Tiff", "product=none.zip", *options]) == 2
    assert "input 'product': none.zip does not exist" in capsys.readouterr().err


def test_a_run_without_a_server_reads_what_its_user_may_read(
    gateway: LocalGateway, work: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="a.xml", Body=b"<bucket/>")
    with web_server() as web:
        for href, content in (
            (f"s3://{bucket}/a.xml", "<bucket/>"),
            (web.serve("/a.xml", Answer(b"<web/>")), "<web/>"),
        ):
            assert call("run", gateway, f"complex={href}") == 0
            assert Path("out/complexOutput.xml").read_text() == content
            assert call("execute", gateway, f"complex={href}") == 1
            assert href.rpartition("/")[0].rpartition("/")[2] in capsys.readouterr().err


def test_a_bucket_that_its_user_may_not_read_is_told(work: Path, bucket: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": os.environ["AWS_ENDPOINT_URL_S3"],
    }
    words = [sys.executable, "-m", "candela.cli", "run", "Echo", f"complex=s3://{bucket}/a.xml"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "candela: cannot look at a.xml: Unable to locate credentials"


def test_a_process_is_described_the_same_with_and_without_a_server(client: Client) -> None:
    for identifier, spec in load_specs().items():
        told, read = client.describe(identifier), description(spec)
        assert read.identifier == told.identifier
        assert read.inputs == told.inputs


@pytest.mark.parametrize(
    "text", ["s3://bucket/a.zip", "https://example.org/a.zip", "file:///a.zip", "FILE:/a.zip"]
)
def test_an_address_stays_as_it_is(text: str) -> None:
    assert read_file(text) == text


def test_everything_else_is_a_path() -> None:
    assert read_file("a b.zip") == Path("a b.zip")
    assert read_file("~nobody-of-this-name/a.zip") == Path("~nobody-of-this-name/a.zip")
