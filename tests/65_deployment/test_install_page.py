"""The commands of docs/operators/install.md are right as they stand."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from install_page import BLOCKS, PAGE, REPOSITORY, ROOT, block, commands, make_repository

from candela import __version__
from candela.cli import main

PART_OF = "app.kubernetes.io/part-of"
STAYS = {"Namespace", "Secret", "PersistentVolumeClaim"}
PLURALS = {
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "PriorityClass": "priorityclasses",
}


def plural(kind: str) -> str:
    return PLURALS.get(kind, f"{kind.lower()}s")


def test_every_block_is_a_script() -> None:
    assert len(BLOCKS) >= 6
    assert "\n    kubectl" not in PAGE  # none stands outside of the blocks that are read
    for each in BLOCKS:
        subprocess.run(["bash", "-n"], input=each, text=True, check=True)
        if shutil.which("shellcheck"):
            checked = ["shellcheck", "--shell=bash", "-"]
            subprocess.run(checked, input=each, text=True, check=True)


def test_targets_scripts_and_their_options_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in commands():
        words = command.split()
        if words[0] == "make":
            assert set(words[1:]) <= set(targets), command
        if words[0].startswith("containers/"):
            script = (ROOT / words[0]).read_text()
            for option in (word for word in words if word.startswith("--")):
                assert re.search(rf"--{option[2:]}\b|\| --{option[2:]}\b", script), command


def test_packages_of_debian_have_the_names_that_debian_gives_them() -> None:
    if not shutil.which("apt-cache"):
        pytest.skip("no apt on this machine")
    (install,) = (command for command in commands() if "apt-get install" in command)
    packages = [word for word in install.split()[3:] if not word.startswith("-")]
    shown = subprocess.run(
        ["apt-cache", "pkgnames"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if "buildah" not in shown and len(shown) < 10_000:
        pytest.skip("apt knows the installed packages alone")
    assert set(packages) <= set(shown)


def test_the_command_that_tries_it_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = (command for command in commands() if command.startswith("candela "))
    words = command.replace("https://candela.example.org", "http://127.0.0.1:9").split()
    assert main(words[1:]) == 1
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., list[dict]]:
    """Return a function that returns what kubectl makes of the page's overlay, outside of here."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on this machine")
    repository = make_repository(tmp_path / "candela.git")

    def build(*blocks: str) -> list[dict]:
        script = "".join(each.replace(REPOSITORY, repository) for each in blocks)
        done = subprocess.run(
            ["bash", "-euc", f"{script}kubectl kustomize my-overlay >made.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all((tmp_path / "made.yaml").read_text()) if each]

    return build


@pytest.fixture
def built(build: Callable[..., list[dict]]) -> list[dict]:
    return build(block("cat >my-overlay/"))


@pytest.mark.parametrize("component", ["mapserver", "geoserver", "patches", "warm", "kueue"])
def test_a_component_is_added_to_the_overlay(
    build: Callable[..., list[dict]], component: str
) -> None:
    adding = block("components/mapserver").replace("mapserver", component)
    made = build(block("cat >my-overlay/"), adding)
    assert all(each["metadata"]["labels"][PART_OF] == "candela" for each in made)
    gone = {plural(each["kind"]) for each in made if each["kind"] not in STAYS}
    assert gone <= set(re.findall(r"[a-z]+", PAGE.partition("## Remove it")[2]))
    images = re.findall(r"^ +image: (\S*candela\S+)", yaml.safe_dump_all(made), re.MULTILINE)
    assert images
    ours = rf"registry\.example\.org/candela-\w+:{re.escape(__version__)}"
    assert all(re.fullmatch(ours, each) for each in images)


def test_an_overlay_outside_of_the_repository_is_built(built: list[dict]) -> None:
    settings = next(each for each in built if each["metadata"]["name"].startswith("candela-settin"))
    assert settings["data"]["CANDELA_STORAGE"] == "s3://my-bucket/candela"
    assert settings["data"]["CANDELA_RUNNER"] == "kubernetes"


def test_every_secret_that_is_asked_for_is_on_the_page(built: list[dict]) -> None:
    asked = set(re.findall(r"(?:secretName|secretRef:\s+name): (\S+)", yaml.safe_dump_all(built)))
    for document in built:
        text = yaml.safe_dump(document)
        asked |= set(re.findall(r"secretRef:\s+(?:optional: \w+\s+)?name: (\S+)", text))
        asked |= set(re.findall(r"secretRef:\s+name: (\S+)", text))
    listed = set(re.findall(r"^\| `(candela-[a-z0-9]+)` \|", PAGE, re.MULTILINE))
    assert {"candela-gateway", "candela-tls"} <= asked
    assert asked <= listed


def test_removing_leaves_namespace_secrets_and_volumes_and_nothing_else(built: list[dict]) -> None:
    removals = [command for command in commands() if f"-l {PART_OF}=candela" in command]
    named = {kind for command in removals for word in command.split() for kind in word.split(",")}
    for document in built:
        kind = document["kind"]
        assert (plural(kind) in named) == (kind not in STAYS), kind
        assert document["metadata"]["labels"][PART_OF] == "candela"
    assert "namespaces" not in named
    assert not any("delete -k" in command for command in commands())
