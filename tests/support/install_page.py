"""The commands of docs/operators/install.md, for tests that run or read them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from candela import __version__

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operators/install.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
REPOSITORY = "https://git.example.org/candela.git"
TAG = f"v{__version__}"


def block(words: str) -> str:
    """Return the one block that has some words."""
    (found,) = (each for each in BLOCKS if words in each)
    return str(found)


def commands() -> list[str]:
    """Return the commands of all blocks, one a line, without comments and documents."""
    text = re.sub(r"<<'EOF'\n.*?^EOF$", "", "\n".join(BLOCKS), flags=re.DOTALL | re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [stripped for line in lines if (stripped := re.sub(r"\s+#.*", "", line).strip())]


def make_repository(folder: Path) -> str:
    """Make a git repository with the manifests of this checkout; return its address."""
    shutil.copytree(ROOT / "k8s", folder / "k8s")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    for words in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*author, "commit", "--quiet", "--message=The manifests"),
        ("tag", TAG),
    ):
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True)
    return f"file://{folder}"
