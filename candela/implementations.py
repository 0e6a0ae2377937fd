"""The code of processes that are no part of this project: installed packages that declare them.

A distribution declares a process by an entry point of the group ``candela.processes``: its name is
the identifier, its value the module that has ``run``. Nothing else can be named, no path and no
module: what an operator writes is looked up among what is installed.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution, entry_points

from candela.errors import SpecError
from candela.spec import ProcessSpec

GROUP = "candela.processes"

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def module_of(spec: ProcessSpec) -> str:
    """Return the module that has ``run`` of a process.

    Raises
    ------
    SpecError
        If the distribution that ``run.package`` names is not installed in this version, or none
        declares the process, or several do.
    """
    name, _, version = spec.run.package.partition("==")
    place = name or "the installed packages"
    points = entry_points(group=GROUP, name=spec.identifier)
    if name:
        try:
            installed = distribution(name)
        except (PackageNotFoundError, ValueError):
            raise SpecError(f"{name} is not installed") from None
        if installed.version != version:
            raise SpecError(f"{name} {version} is expected, {installed.version} is installed")
        points = installed.entry_points.select(group=GROUP, name=spec.identifier)
    modules = {point.value for point in points}
    if len(modules) != 1:
        found = ", ".join(sorted(modules)) or "none"
        raise SpecError(
            f"{place} must declare {spec.identifier} by one entry point of {GROUP}, found {found}"
        )
    (module,) = modules
    if not _MODULE.fullmatch(module):
        raise SpecError(f"{place}: the entry point of {spec.identifier} is no module: {module!r}")
    return module
