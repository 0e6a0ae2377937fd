"""What images are made of is pinned, and written down."""

import json
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import jsonschema
import pytest
import referencing
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
KINDS = {"gateway": ["gateway"], "python": ["worker"], "train": ["worker", "train"]}
# An image of others: a registry with a dot, a path, a tag, perhaps a digest.
IMAGE = re.compile(r"\b((?:[a-z0-9-]+\.)+[a-z]+/[a-z0-9/._-]+)(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def subset(extras: list[str]) -> str:
    words = [sys.executable, str(CONTAINERS / "lock_subset.py"), ",".join(extras)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def needed(extras: list[str]) -> set[str]:
    """Return what this environment says that the extras need here."""
    found: set[str] = set()
    waiting = [("candela-eo", frozenset(extras))]
    while waiting:
        name, active = waiting.pop()
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            marker = wanted.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in active | {""}):
                continue
            key = re.sub(r"[-_.]+", "-", wanted.name).lower()
            if key not in found or wanted.extras:
                found.add(key)
                waiting.append((wanted.name, frozenset(wanted.extras)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_has_all_that_it_needs_by_hash_and_nothing_to_develop_with(kind: str) -> None:
    lock = subset(KINDS[kind])
    names = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE))
    assert needed(KINDS[kind]) <= names
    assert not names & {"pytest", "mypy", "ruff", "moto", "hypothesis"}
    assert ("tensorflow" in names) == (kind == "train")
    for entry in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry


def test_images_are_built_from_hashes() -> None:
    script = (CONTAINERS / "build-images").read_text(encoding="utf-8")
    assert "--require-hashes" in script
    assert "--hash=" not in script  # nothing takes them away


def locked() -> dict[str, str]:
    lines = (CONTAINERS / "images.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def references() -> list[tuple[str, str]]:
    """Return where images of others are named, and how."""
    files = [*CONTAINERS.glob("*.yaml"), CONTAINERS / "Containerfile"]
    files += [*(ROOT / "k8s").rglob("*.yaml")]
    found = []
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r"\s*(?:-?\s*image:|newName:|ARG BASE=|FROM)\s*(\S+)", line)
            is_ours = match and match[1].startswith("registry.example.org/")
            if match and IMAGE.match(match[1]) and not is_ours:
                found.append((path.relative_to(ROOT).as_posix(), match[1]))
    return found


def test_images_of_others_have_a_tag_and_the_digest_that_is_known() -> None:
    lock, named = locked(), references()
    assert {re.sub(r"@.*", "", name) for _, name in named} == set(lock)
    for place, name in named:
        match = IMAGE.fullmatch(name)
        assert match, (place, name)
        assert match[2], f"{place}: {name} has no tag"
        digest = lock[f"{match[1]}{match[2]}"]
        assert digest == "unresolved" or re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
        assert (match[3] or "@unresolved") == f"@{digest}", (place, name)


def schema_of_bills() -> jsonschema.protocols.Validator:
    folder = resources.files("cyclonedx.schema._res")
    read = {
        name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text(encoding="utf-8"))
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    registry = referencing.Registry().with_resources(
        (document["$id"], referencing.Resource.from_contents(document))
        for document in read.values()
    )
    return jsonschema.Draft7Validator(read["bom-1.6"], registry=registry)


def test_the_bill_of_an_image_is_valid_and_names_every_package(tmp_path: Path) -> None:
    report = {
        "install": [
            {
                "metadata": {"name": "Flask", "version": "3.1.3", "license_expression": "MIT"},
                "download_info": {"archive_info": {"hashes": {"sha256": "0" * 64}}},
            },
            {"metadata": {"name": "typing_extensions", "version": "4"}, "download_info": {}},
        ]
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    packages = "libstdc++6\t12.2.0-14\tamd64\nlibssl3\t1:3.0.17-1~deb12u3\tamd64\n"
    (tmp_path / "packages").write_text(packages)

    def bill(report: str = "report.json") -> str:
        words = ["localhost/candela-gateway:dev", "localhost/base:1", str(tmp_path / report)]
        command = [sys.executable, str(CONTAINERS / "bill.py"), *words, str(tmp_path / "packages")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    document = json.loads(bill())
    schema_of_bills().validate(document)
    assert {component["purl"] for component in document["components"]} == {
        "pkg:pypi/flask@3.1.3",
        "pkg:pypi/typing-extensions@4",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64",
        "pkg:deb/debian/libssl3@1%3A3.0.17-1~deb12u3?arch=amd64",
    }
    assert document["components"][2]["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert bill() == bill()
    with pytest.raises(jsonschema.ValidationError):
        schema_of_bills().validate(document | {"specVersion": 1.6})
