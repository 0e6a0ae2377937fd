"""Names of files that are made of what documents say.

What a product, a tag or an address says comes from outside: as a path it may lead anywhere. Nothing
else in the project makes a path of such text.
"""

import re
from pathlib import Path, PurePosixPath

MAX_LETTERS = 150


def file_name(text: str, default: str) -> str:
    """Return the last part of a path as a harmless file name: product names stay as they are."""
    last = PurePosixPath(text.replace("\\", "/")).name
    letters = re.sub(r"[^A-Za-z0-9._+-]", "_", last).lstrip(".-")
    return letters[-MAX_LETTERS:].lstrip(".-") or default


def output_file(workdir: Path, stem: str, ending: str = "") -> Path:
    """Return the path of an output that is called after what a document says.

    Parameters
    ----------
    workdir : Path
        Where the outputs of the job go; the path lies directly in it.
    stem : str
        The name without its ending, of whatever origin.
    ending : str
        What follows, such as ``_mask.tif``.
    """
    return workdir / (file_name(stem, "output") + ending)
