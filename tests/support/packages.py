"""Distributions as an installer leaves them: modules, metadata and entry points."""

from pathlib import Path

RUN = """\
from pathlib import Path


def run(*, literal, workdir, progress):
    path = Path(workdir) / "shout.txt"
    path.write_text(literal.upper() + "!" * {marks})
    return {{"shout": path, "length": len(literal)}}
"""
SHOUT = """\
identifier: Shout
version: {version}
title: {title}
abstract: Says it louder.
inputs:
  literal: {{title: A text, type: string}}
outputs:
  shout: {{title: The text in capitals, type: text}}
  length: {{title: How many letters, type: integer}}
run: {{{run}}}
"""
PACKAGE = "package: shout-tools==1.2.0, cpu: 0.1, memory: 256Mi, timeout: 60"


def shout(version: str = "1.0.0", title: str = "A shout", run: str = PACKAGE) -> str:
    """Return the process.yaml of a process that no part of CANDELA has."""
    return SHOUT.format(version=version, title=title, run=run)


def install(
    folder: Path, *, version: str = "1.2.0", marks: int = 1, point: str = "Shout = shout_tools"
) -> None:
    """Install a version of shout-tools, which has the process, over another one."""
    for before in folder.glob("shout_tools-*.dist-info"):
        before.rename(before.with_suffix(".old"))
    (folder / "shout_tools").mkdir(parents=True, exist_ok=True)
    (folder / "shout_tools" / "__init__.py").write_text(RUN.format(marks=marks))
    metadata = folder / f"shout_tools-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: shout-tools\nVersion: {version}\n"
    )
    (metadata / "entry_points.txt").write_text(f"[candela.processes]\n{point}\n")
