"""The commands of docs/operators/install.md are right as they stand."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from candela.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operators" / "install.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
REMOTE = "https://git.example.org/candela.git//k8s/overlays/production?ref=v0.1.0"
STAYS = {"Namespace", "Secret", "PersistentVolumeClaim"}


def commands() -> list[str]:
    """Return the commands of all blocks, one a line, without comments and documents."""
    text = re.sub(r"<<'EOF'\n.*?^EOF$", "", "\n".join(BLOCKS), flags=re.DOTALL | re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [stripped for line in lines if (stripped := re.sub(r"\s+#.*", "", line).strip())]


def test_every_block_is_a_script() -> None:
    assert len(BLOCKS) >= 6
    assert "\n    kubectl" not in PAGE  # none stands outside of the blocks that are read
    for block in BLOCKS:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        if shutil.which("shellcheck"):
            checked = ["shellcheck", "--shell=bash", "-"]
            subprocess.run(checked, input=block, text=True, check=True)


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
def built(tmp_path: Path) -> list[dict]:
    """Return what kubectl makes of the page's overlay, far from this repository."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on this machine")
    (block,) = (block for block in BLOCKS if "my-overlay/kustomization.yaml" in block)
    assert REMOTE in block
    place = (ROOT / "k8s/overlays/production").relative_to(tmp_path.root)
    here = Path(*[".."] * (len(tmp_path.parts)), place)  # kustomize takes no absolute paths
    script = block.replace(REMOTE, here.as_posix())
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


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
    label = "app.kubernetes.io/part-of"
    removals = [command for command in commands() if f"-l {label}=candela" in command]
    named = {kind for command in removals for word in command.split() for kind in word.split(",")}
    plurals = {
        "Ingress": "ingresses",
        "NetworkPolicy": "networkpolicies",
        "PriorityClass": "priorityclasses",
    }
    for document in built:
        kind = document["kind"]
        plural = plurals.get(kind, f"{kind.lower()}s")
        assert (plural in named) == (kind not in STAYS), kind
        assert document["metadata"]["labels"][label] == "candela"
    assert "namespaces" not in named
    assert not any("delete -k" in command for command in commands())
