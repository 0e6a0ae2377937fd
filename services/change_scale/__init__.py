"""ChangeScale: the scale of a change map, without the map."""

from pathlib import Path

from candela.eo.progress import Progress, part
from candela.eo.raster.images import gdal_environment
from candela.eo.s2.pair import Masks, open_pair
from candela.models.change.catalogue import MODELS
from candela.models.change.survey import fit, survey_pair
from candela.models.encoder import EncoderCard, load_encoder


def run(
    *,
    before: Path,
    after: Path,
    before_mask: Path | None,
    after_mask: Path | None,
    mask_classes: str,
    model: str,
    runtime: str,
    bands: list[str],
    workdir: Path,  # noqa: ARG001 - every process has one
    progress: Progress,
) -> dict[str, float]:
    """Measure the median log magnitude of the change between two images.

    Parameters
    ----------
    before, after, before_mask, after_mask, mask_classes, model, runtime, bands
        As for ChangeDetect.
    workdir : Path
        Not used: there is no output file.
    progress : Progress

    Returns
    -------
    dict
        ``scale``: median log magnitude (natural logarithm of the disagreement in units of noise),
        which ChangeDetect reports as ``typical_log_magnitude`` and takes as ``scale``.

    Raises
    ------
    InputError
        If the images cannot be compared.
    """
    masks = Masks(before_mask, after_mask, mask_classes)
    encoder = MODELS[model].encoder
    needed = EncoderCard.read(encoder).bands
    with gdal_environment(), open_pair(before, after, masks, needed, bands) as pair:
        progress(5, "surveying samples of both images")
        encode = load_encoder(runtime, encoder)
        detector = fit(survey_pair(pair), encode, model, part(progress, 40, 100))
    return {"scale": detector.scale}
