"""The folder that a job has for itself."""

import errno
import shutil
from contextlib import suppress
from pathlib import Path

from candela.errors import CandelaError

INPUTS = "inputs"  # what was staged
WORK = "work"  # what ``run`` gets as its workdir
LAYERS = "layers"  # polygons as map servers want them
TEMPORARY = "tmp"  # what TMPDIR points to
NOTHING_BYTES = 2**20  # what is left of a disk that is full
PARTS = (INPUTS, WORK, LAYERS, TEMPORARY)


class WorkdirError(CandelaError):
    """The folder holds files of somebody else: emptying it would lose them."""


def prepare_workdir(workdir: Path) -> None:
    """Make the parts of the folder, empty.

    Raises
    ------
    WorkdirError
        If something else is in the folder.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    foreign = sorted(path.name for path in workdir.iterdir() if path.name not in PARTS)
    if foreign:
        raise WorkdirError(f"{workdir} is not empty ({foreign[0]}): a job needs its own folder")
    empty_workdir(workdir)
    for part in PARTS:
        (workdir / part).mkdir()


def disk_is_full(workdir: Path, error: BaseException) -> bool:
    """Tell whether an error is one of a full disk; libraries often hide its number."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        cause = cause.__cause__ or cause.__context__
    try:
        return shutil.disk_usage(workdir).free < NOTHING_BYTES
    except OSError:  # the folder is gone
        return False


def empty_workdir(workdir: Path) -> None:
    """Remove all that is in the folder, if it is there; what cannot be removed is the runner's."""
    try:
        paths = list(workdir.iterdir())
    except OSError:  # it was removed under us, say
        return
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
