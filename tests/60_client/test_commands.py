"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from candela.cli import main
from candela.client import ChangeSeries, Client
from candela.demo.gateway import LocalGateway, free_port


def test_help_is_there_without_the_libraries() -> None:
    heavy = ["owslib", "rich", "numpy", "rasterio", "flask", "pydantic"]
    code = (
        "import sys, contextlib, io, candela.cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    candela.cli.main(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["serve", "processes", "describe", "execute", "series", "jobs", "run", "demo", "completion"],
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage: candela " + command in capsys.readouterr().out


def test_processes_and_descriptions_are_shown(
    gateway: LocalGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["processes", "--url", gateway.url]) == 0
    assert "Echo for conformance tests" in capsys.readouterr().out
    assert main(["describe", "Jpeg2Tiff", "--url", gateway.url]) == 0
    shown = capsys.readouterr().out
    assert "nearest, bilinear, cubic" in shown
    assert "image_wms" in shown


def test_a_job_is_executed_and_its_outputs_are_saved(
    gateway: LocalGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["execute", "Echo", "literal=a b", "numbers=1", "numbers=2", "complex=<a/>"]
    assert main([*words, "--url", gateway.url, "--save", str(tmp_path)]) == 0
    assert "succeeded" in capsys.readouterr().out
    assert (tmp_path / "literalOutput.txt").read_text() == "a b"
    assert (tmp_path / "sum.txt").read_text() == "3.0"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".txt", ".txt", ".xml"]


def test_a_job_is_started_listed_shown_and_dismissed(
    gateway: LocalGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--url", gateway.url]
    assert main(["execute", "Echo", "pause=600", *url]) == 0
    job_id = capsys.readouterr().out.strip()
    assert main(["jobs", "--process", "Echo", *url]) == 0
    assert job_id in capsys.readouterr().out
    assert main(["jobs", *url, "show", job_id]) == 0
    assert job_id in capsys.readouterr().out
    assert main(["jobs", "dismiss", job_id, *url]) == 0
    capsys.readouterr()
    assert main(["jobs", "wait", job_id, *url]) == 1
    assert "dismissed" in capsys.readouterr().err


def test_the_log_of_a_job_is_shown(
    gateway: LocalGateway, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    job = client.execute("Echo", literal="x").wait()
    assert main(["jobs", "log", job.id, "--url", gateway.url]) == 0
    assert "Echo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["execute", "Echo", "literl=1"], 2, "candela: Echo has no input 'literl'"),
        (["execute", "Echo", "pause=many"], 2, "'many' is not of type float"),
        (["describe", "Nothing"], 2, "there is no process 'Nothing'"),
        (["jobs", "show", "none"], 1, "there is no job 'none'"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    gateway: LocalGateway,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    sentence: str,
) -> None:
    assert main([*words, "--url", gateway.url]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_gateway_that_is_away_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["processes", "--url", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "is a server running?" in capsys.readouterr().err


def test_ctrl_c_tells_how_to_take_the_job_up_again(
    gateway: LocalGateway,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("candela.client.waiting.time.sleep", interrupt)
    assert main(["execute", "Echo", "pause=600", "--wait", "--url", gateway.url]) == 130
    job = client.jobs(process="Echo", limit=1)[0]
    assert f"candela jobs wait {job.id} --url {gateway.url}" in capsys.readouterr().err
    assert not job.status.is_final
    job.dismiss()


def test_a_process_runs_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "Echo", "complex=" + str(tmp_path / "in.xml"), "literal=here"]
    (tmp_path / "in.xml").write_text("<a/>")
    assert main([*words, "--outputs", str(tmp_path / "out")]) == 0
    assert "here" in capsys.readouterr().out
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".xml"]
    assert main(["run", "Echo", "wrong=1"]) == 2
    assert "no input 'wrong'" in capsys.readouterr().err


def test_options_may_stand_between_a_process_and_its_inputs(
    gateway: LocalGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["execute", "Echo", "--wait", "literal=hi", "--url", gateway.url, "numbers=1"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "hi" in shown
    assert "1.0" in shown


def test_an_option_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["execute", "Echo", "--wiat", "a=1"], ["processes", "a=1"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["jobs"], ["jobs", "--limit", "3"], ["processes"]])
def test_the_address_of_the_gateway_may_stand_before_the_command(
    gateway: LocalGateway, words: list[str]
) -> None:
    assert main(["--url", gateway.url, *words]) == 0


@pytest.mark.parametrize("place", range(4))
def test_the_address_of_the_gateway_may_stand_anywhere(
    place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["patches", "items", "size=120"]
    assert main([*words[:place], "--url", "127.0.0.1:9", *words[place:]]) == 1
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_the_address_of_the_gateway_may_stand_in_the_environment(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDELA_URL", gateway.url.removeprefix("http://"))
    assert main(["execute", "Echo", "literal=hi"]) == 0
    said = capsys.readouterr()
    assert said.err.strip().endswith(f"candela jobs show {said.out.strip()}")
    monkeypatch.delenv("CANDELA_URL")
    assert main(["execute", "Echo", "literal=hi", "--url", gateway.url]) == 0
    said = capsys.readouterr()
    assert f"jobs show {said.out.strip()} --url {gateway.url}" in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("gateway/candela", "http://gateway/candela"),
        ("eo.example.org/candela", "https://eo.example.org/candela"),
        ("http://eo.example.org", "http://eo.example.org"),
    ],
)
def test_an_address_without_a_scheme_gets_one(given: str, address: str) -> None:
    with Client(given) as client:
        assert client.url == address


def test_an_address_of_another_kind_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["processes", "--url", "ftp://example.org"]) == 2
    assert "is no address of a server" in capsys.readouterr().err


def completed(words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return what bash would offer for the last of some words."""
    assert main(["completion", "bash"]) == 0
    (folder / "candela").write_text(capsys.readouterr().out)
    script = (
        f"source {folder}/candela; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); "
        "_candela; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("candela ex", {"execute"}),
        ("candela execute Echo --w", {"--wait"}),
        ("candela --url http://x jobs s", {"show"}),
        ("candela patches sc", {"schemes"}),
        ("candela patches items --f", {"--form"}),
    ],
)
def test_a_shell_completes_commands_and_options(
    words: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed(words, tmp_path, capsys) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("execute", "feature-sets", "wait", "dismiss"):
        assert word in script


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return what the pipeline is called with, in place of running it."""
    given: dict[str, object] = {}

    def detect(_: Client, products: object, **options: object) -> ChangeSeries:
        given.update(options, products=products)
        return ChangeSeries((), (), (), {})

    monkeypatch.setattr("candela.commands.series.detect_changes", detect)
    return given


def test_the_names_of_bands_reach_the_pipeline(pipeline: dict[str, object]) -> None:
    assert main(["series", "a.tif", "b.tif", "--bands", "B02, B03,B04"]) == 1
    assert pipeline["bands"] == ("B02", "B03", "B04")


def test_products_and_parcels_of_a_series_are_paths_or_addresses(
    pipeline: dict[str, object],
) -> None:
    products = ["a.zip", "s3://bucket/b.zip", "https://example.org/c.zip", "file:///d.zip"]
    assert main(["series", *products, "--parcels", "s3://bucket/parcels.gpkg"]) == 1
    assert pipeline["products"] == [Path("a.zip"), *products[1:]]
    assert pipeline["parcels"] == "s3://bucket/parcels.gpkg"
    assert main(["series", "a.zip", "--parcels", "parcels.gpkg"]) == 1
    assert pipeline["parcels"] == Path("parcels.gpkg")
