"""Which bands of a file are which polarisations."""

import re
from collections.abc import Mapping
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp

from candela.errors import InputError

POLARISATIONS = ("VV", "VH", "HH", "HV")
UNNAMED = ("band 1", "band 2")  # of images that do not say their polarisations
_NAME = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])", re.IGNORECASE)
_PICTURE = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def polarisations_of(dataset: rasterio.DatasetReader) -> dict[str, int]:
    """Find the polarisations of an image.

    A band is named by its description (``VV``, ``Sigma0_VH`` ...). A file of one band may instead
    have the tag ``POLARIZATION``, or the polarisation in its name.

    Returns
    -------
    dict
        Band index, from 1 on, by polarisation; by ``UNNAMED`` where the image names none. An
        unnamed picture of red, green and blue counts as its first band.

    Raises
    ------
    InputError
        If a polarisation occurs twice, or more than two bands have no name.
    """
    name = Path(dataset.name).name
    bands = [index for index in dataset.indexes if _is_measured(dataset, index)]
    found: dict[str, int] = {}
    for index in bands:
        polarisation = _named(dataset.descriptions[index - 1] or "")
        if polarisation in found:
            raise InputError(f"{name} has two bands {polarisation}")
        if polarisation:
            found[polarisation] = index
    if found:
        return found
    if len(bands) == 1:
        single = _of_file(dataset.tags(), name) or UNNAMED[0]
        return {single: bands[0]}
    if len(bands) == 3 and dataset.colorinterp[:3] == _PICTURE:
        return {UNNAMED[0]: 1}
    if len(bands) > len(UNNAMED):
        raise InputError(
            f"{name} has {len(bands)} bands without a polarisation; expected one or two bands, or "
            f"descriptions out of {', '.join(POLARISATIONS)}"
        )
    return dict(zip(UNNAMED, bands, strict=False))


def _is_measured(dataset: rasterio.DatasetReader, index: int) -> bool:
    return bool(dataset.colorinterp[index - 1] != ColorInterp.alpha)


def _named(text: str) -> str:
    found = _NAME.search(text)
    return found[1].upper() if found else ""


def _of_file(tags: Mapping[str, str], name: str) -> str:
    return _named(tags.get("POLARIZATION", "")) or _named(name)
