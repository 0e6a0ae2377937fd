"""Print the bill of material of an image, CycloneDX 1.6 as JSON.

usage: bill.py IMAGE BASE REPORT PACKAGES

REPORT is what ``pip install --report`` wrote: which archives were installed, with their hashes.
PACKAGES has a line for each Debian package: name, version, architecture, separated by tabs.
The serial number is made of the content: the same image has the same bill.
"""

import hashlib
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
Component = dict[str, Any]


def python_components(report: dict[str, Any]) -> list[Component]:
    """Return the Python packages of an installation report."""
    found = []
    for each in report["install"]:
        metadata, archive = each["metadata"], each["download_info"].get("archive_info", {})
        name, version = metadata["name"], metadata["version"]
        purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{quote(version, safe='')}"
        component = {
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl
        }  # fmt: skip
        if sha256 := archive.get("hashes", {}).get("sha256"):
            component["hashes"] = [{"alg": "SHA-256", "content": sha256}]
        if expression := metadata.get("license_expression"):
            component["licenses"] = [{"expression": expression}]
        found.append(component)
    return found


def debian_components(text: str) -> list[Component]:
    """Return the packages of ``dpkg-query --show``."""
    found = []
    for line in text.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        found.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        )
    return found


def bill(image: str, base: str, components: list[Component]) -> dict[str, Any]:
    """Return the whole document."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "candela/__init__.py").read_text())
    ordered = sorted(components, key=lambda component: component["purl"])
    content = hashlib.sha256(json.dumps([image, base, ordered]).encode()).digest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=content[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": image.partition(":")[0] if "/" not in image else image.rpartition(":")[0],
                "version": version[1] if version else "",
                "properties": [{"name": "candela:base", "value": base}],
            }
        },
        "components": ordered,
    }


if __name__ == "__main__":
    image, base, report, packages = sys.argv[1:]
    listed = [
        *python_components(json.loads(Path(report).read_text(encoding="utf-8"))),
        *debian_components(Path(packages).read_text(encoding="utf-8")),
    ]
    json.dump(bill(image, base, listed), sys.stdout, indent=1)
    sys.stdout.write("\n")
