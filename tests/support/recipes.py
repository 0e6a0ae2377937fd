"""Commands of a page and the answers that it shows: a block of bash, then one of text."""

import re
import shutil
import subprocess
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = "http://127.0.0.1:8080"
RECIPE = re.compile(r"```bash\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def assert_recipes(name: str, url: str, folder: Path) -> None:
    """Run the commands of a page one after the other, and compare what they answer."""
    assert shutil.which("curl"), "curl is missing"
    page = (DOCS / name).read_text()
    recipes = RECIPE.findall(page)
    assert len(recipes) == page.count("```bash")
    script = "printf '\\0'\n".join(command for command, _ in recipes)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(EXAMPLE, url)],
        capture_output=True, text=True, timeout=60, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [answer.strip() for answer in done.stdout.split("\0")]
    assert answers == [expected.strip() for _, expected in recipes]
