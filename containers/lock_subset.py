"""Print the part of requirements.lock that an image needs, with its hashes.

usage: lock_subset.py EXTRA[,EXTRA...]

The lock names for each package what asks for it; those that pyproject.toml lists for the extras,
and what they ask for in turn, are kept. It is for ``pip install --require-hashes --no-deps``.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PROJECT = "candela-eo"


def normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Return, by package, its lines of the lock and what asks for it."""
    found = {}
    for text in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE):
        match = NAME.match(text)
        if not match:
            continue
        told = [line for line in text.splitlines() if line.lstrip().startswith("#")]
        words = [line.strip("# ").removeprefix("via").strip() for line in told]
        parents = {normal(NAME.match(word)[0]) for word in words if NAME.match(word)}
        pinned = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        found[normal(match[0])] = ("\n".join(pinned).rstrip(" \\\n"), parents)
    return found


def wanted(extras: list[str]) -> set[str]:
    """Return the packages that the project asks for, with some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    asked = [*project["dependencies"], *(each for extra in extras for each in optional[extra])]
    return {normal(NAME.match(requirement)[0]) for requirement in asked}


def subset(lock: str, extras: list[str]) -> str:
    """Return the part of a lock that some extras need.

    Raises
    ------
    SystemExit
        If the lock lacks a package that is asked for.
    """
    pinned = entries(lock)
    kept = wanted(extras)
    if missing := sorted(kept - pinned.keys()):
        raise SystemExit(f"requirements.lock lacks {', '.join(missing)}: run `make lock`")
    while True:
        more = {name for name, (_, parents) in pinned.items() if parents & kept} - kept
        if not more:
            return "".join(f"{pinned[name][0]}\n" for name in sorted(kept))
        kept |= more


if __name__ == "__main__":
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    sys.stdout.write(subset(lock, sys.argv[1].split(",")))
