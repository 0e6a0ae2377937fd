"""ChangeDetect: the probability that each pixel changed between two Sentinel-2 images."""

from pathlib import Path

from candela.eo.progress import Progress
from candela.eo.raster.images import gdal_environment
from candela.eo.s2.pair import Masks, open_pair
from candela.models.change.mapping import map_pair, model_bands


def run(
    *,
    before: Path,
    after: Path,
    before_mask: Path | None,
    after_mask: Path | None,
    mask_classes: str,
    model: str,
    runtime: str,
    scale: float | None,
    parcels: Path | None,
    bands: list[str],
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Map the change between two images.

    Parameters
    ----------
    before, after : Path
        Images of one grid, with reflectance in any form that ``read_reflectance`` reads.
    before_mask, after_mask : Path, optional
        Their cloud masks: see ``open_mask``.
    mask_classes : str
        See process.yaml.
    model, runtime, scale, parcels, workdir, progress
        See ``map_pair``.
    bands : list of str
        Names of the bands of both images, in their order; empty where the images name them.

    Returns
    -------
    dict
        As of ``map_pair``.

    Raises
    ------
    InputError
        If the images cannot be compared.
    """
    masks = Masks(before_mask, after_mask, mask_classes)
    with (
        gdal_environment(),
        open_pair(before, after, masks, model_bands(model), bands) as pair,
    ):
        return map_pair(
            pair,
            model=model,
            runtime=runtime,
            scale=scale,
            parcels=parcels,
            workdir=workdir,
            progress=progress,
        )
