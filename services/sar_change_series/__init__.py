"""SarChangeSeries: change in a series of radar images, followed from date to date."""

import datetime as dt
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.images import gdal_environment, open_image
from candela.eo.sar.images import SarStack, group_dates, open_stack
from candela.eo.sar.scale import Scale
from candela.errors import blamed_on

from .confirmation import Rule
from .report import LAYERS, write_layers, write_preview
from .seasons import Seasons
from .series import DateCount, append_date
from .state import SeriesDescription, check_state

logger = logging.getLogger(__name__)


def run(
    *,
    images: list[Path],
    state: Path | None,
    scale: str,
    baseline: int,
    baseline_until: dt.date | None,
    seasons: str,
    false_alarms: float,
    confirmations: int,
    minimum_mapping_unit: int,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Add images to a series and map its changes.

    Parameters
    ----------
    images : list of Path
        As S1tiling makes them: of one grid and track, in any order.
    state : Path, optional
        Of an earlier run.
    scale, seasons : str
        See process.yaml.
    baseline : int
        Dates that a pixel learns before it is watched.
    baseline_until : date, optional
        Up to it dates are learned, and nothing is reported.
    false_alarms : float
        Share of unchanged pixels that a date may report.
    confirmations : int
        Dates that must show a change for it to be confirmed.
    minimum_mapping_unit : int
        Pixels.
    workdir : Path
        Folder of the outputs.
    progress : Progress

    Returns
    -------
    dict of str to Path
        ``change``, ``status``, ``date``, ``direction``, ``magnitude`` and ``state`` (GeoTIFF),
        ``statistics`` (JSON), ``preview`` (PNG).

    Raises
    ------
    InputError
        If the images are no series, or do not go on with the state's.
    """
    rule = Rule(false_alarms, baseline, confirmations)
    with gdal_environment():
        with blamed_on("images"):
            dates = group_dates(images)
        locators = ["images"] * len(dates)
        with open_stack(dates, cast(Scale, scale), locators=locators) as opened:
            description = _description(opened, state, cast(Seasons, seasons))
            stack = replace(opened, polarisations=description.polarisations)
            newest, kept = state, []
            share = 90 / len(dates)
            for number in range(len(dates)):
                path = output_file(workdir, f"state_{number}", ".tif")
                done = part(progress, share * number, share * (number + 1))
                description, count = append_date(
                    stack, number, newest, description, path, rule,
                    baseline_until=baseline_until, progress=done,
                )  # fmt: skip
                if newest is not None and newest != state:
                    newest.unlink()
                newest = path
                kept.append(count)
                logger.info(
                    "%s: %d of %d pixels reported", count.date, count.reported, count.watched
                )
            facts = _facts(stack, description, rule, kept)
        assert newest is not None
        return _write_outputs(
            newest, description, rule, minimum_mapping_unit, facts, workdir, progress
        )


def _description(stack: SarStack, state: Path | None, seasons: Seasons) -> SeriesDescription:
    """Return what the series is of, before its first image or after those of a state."""
    if state is None:
        first = stack.acquisitions[0]
        return SeriesDescription(stack.polarisations, seasons, first.track, first.calibration)
    with open_image(state) as image:
        known = SeriesDescription.from_image(image)
        check_state(image, known, stack, seasons)
    return known


def _write_outputs(
    state: Path,
    description: SeriesDescription,
    rule: Rule,
    least_pixels: int,
    facts: dict[str, object],
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Write layers, statistics and preview of a state, and give it its name."""
    last = f"{description.dates[-1]:%Y%m%d}"
    outputs = {
        name: output_file(workdir, f"sar_series_{name}_{last}", ".tif")
        for name in (*LAYERS, "state")
    }
    outputs["statistics"] = output_file(workdir, f"sar_series_{last}", "_statistics.json")
    outputs["preview"] = output_file(workdir, f"sar_series_{last}", "_preview.png")
    state.rename(outputs["state"])
    tags = {
        "Start_date": f"{description.dates[0]:%Y%m%d}",
        "End_date": last,
        "Agent": "CANDELA SarChangeSeries",
    }
    progress(90, "writing the layers")
    with open_image(outputs["state"]) as image:
        status = write_layers(
            image,
            description,
            outputs,
            baseline=rule.baseline,
            least_pixels=least_pixels,
            tags=tags,
        )
        write_preview(outputs["preview"], image, description, status)
    text = json.dumps(facts, indent=2)
    outputs["statistics"].write_text(text + "\n", encoding="utf-8")
    progress(100, "done")
    return outputs


def _facts(
    stack: SarStack, description: SeriesDescription, rule: Rule, counts: list[DateCount]
) -> dict[str, object]:
    """Return the properties of the series and of its dates, as JSON values."""
    prior = description.prior
    assert prior is not None
    notes = []
    if any(each.is_filtered for each in stack.acquisitions):
        notes.append("images are speckle-filtered: small objects are smoothed away")
    return {
        "polarisations": list(description.polarisations),
        "track": str(description.track),
        "calibration": description.calibration,
        "scale": stack.scale,
        "seasons": description.seasons,
        "false_alarms": rule.level,
        "baseline": rule.baseline,
        "confirmations": rule.confirmations,
        "all_dates": [date.isoformat() for date in description.dates],
        "pooled_spread": [variance**0.5 for variance in prior.variance],
        "pooled_degrees_of_freedom": list(prior.freedom),
        "dates": [_date_facts(count) for count in counts],
        "notes": notes,
    }


def _date_facts(count: DateCount) -> dict[str, object]:
    return {
        "date": count.date.isoformat(),
        "season": count.season,
        "valid_pixels": count.valid,
        "watched_pixels": count.watched,
        "reported_pixels": count.reported,
        "reported_fraction": count.reported / count.watched if count.watched else None,
        "status_pixels": count.statuses,
    }
