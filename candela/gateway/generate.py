"""Write the descriptions of all processes as files: `make describe`.

They are for reading, for review, and for clients that want a description without a server; a test
compares them with what the gateway says.
"""

import argparse
from pathlib import Path

from lxml import etree

from candela.gateway.protocols.wps10 import describe
from candela.spec import load_specs


def descriptions() -> dict[str, bytes]:
    """Return the content of each file by its name."""
    return {
        f"{identifier}.xml": etree.tostring(
            describe.descriptions([spec]), xml_declaration=True, encoding="UTF-8", pretty_print=True
        )
        for identifier, spec in load_specs().items()
    }


def main() -> None:
    """Write the files, and remove those of processes that are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write, e.g. wps_config/describe")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    files = descriptions()
    for path in folder.glob("*.xml"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
