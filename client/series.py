"""A series of changes, the result of the pipeline: as a table, as files, as a picture."""

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candela.client.display import Table, html_table, text_table
from candela.client.errors import ClientError
from candela.client.job import Job
from candela.client.job_group import Failure
from candela.client.layers import Layer
from candela.client.outputs import Output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_PIXELS = 600  # side of a map in the picture, at most
PANEL_INCHES = 3.4
PANELS_ACROSS = 4
NO_DATA_GREY = "0.8"


@dataclass(frozen=True)
class Image:
    """A product as an image.

    Attributes
    ----------
    product : str
        Its name.
    job : Job or None
        The job that made it; None if it was given as an image.
    given : Path, str or Output, optional
        The image that was given.
    """

    product: str
    job: Job | None
    given: Path | str | Output | None = None

    @property
    def output(self) -> Output:
        """The band stack.

        Raises
        ------
        ClientError
            If the image was given, and not made by a job.
        """
        if isinstance(self.given, Output):
            return self.given
        if self.job is None:
            raise ClientError(f"{self.product} was given as it is: no job made it")
        return self.job.outputs["image"]

    @property
    def source(self) -> Path | str | Output:
        """The image that is compared: the given one, or the band stack."""
        return self.output if self.given is None else self.given

    @property
    def mask(self) -> Output | None:
        """The mask, if one was asked for."""
        return None if self.job is None else self.job.outputs.get("mask")


@dataclass(frozen=True)
class Change:
    """The change between two dates.

    Attributes
    ----------
    scene : str
        The place.
    before, after : Image
        The dates that were compared.
    before_date, after_date : date
        When they were taken.
    part : str
        Number among pairs of the same dates; empty where there is one.
    """

    scene: str
    before: Image
    after: Image
    before_date: dt.date
    after_date: dt.date
    job: Job
    part: str = ""

    @property
    def output(self) -> Output:
        """The map: probability of change, 0..1."""
        return self.job.outputs["change"]

    @property
    def layer(self) -> Layer | None:
        """The map as a layer, if the server publishes it."""
        return self.job.layers.get("change")

    @property
    def name(self) -> str:
        """Place and dates, as a part of a file name."""
        part = f"_{self.part.replace(' ', '_')}" if self.part else ""
        return f"{self.scene}_{self.before_date:%Y%m%d}_{self.after_date:%Y%m%d}{part}"


@dataclass(frozen=True)
class ChangeSeries:
    """The outcome; shown as a table.

    Attributes
    ----------
    images : tuple of Image
        In the order of the products.
    changes : tuple of Change
        In the order of time.
    failures : tuple of Failure
        Products and pairs that failed, and why.
    left_out : dict
        Images that are in no pair, and why.
    scales : dict
        The scale that the maps of each scene share; empty if each map has its own.
    """

    images: tuple[Image, ...]
    changes: tuple[Change, ...]
    failures: tuple[Failure, ...]
    left_out: Mapping[str, str]
    scales: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return text_table(self.table())

    def _repr_html_(self) -> str:
        return html_table(self.table())

    def table(self) -> Table:
        """Return changes, failures and images left out as a table."""
        rows = [
            (
                each.scene,
                each.before_date.isoformat(),
                each.after_date.isoformat(),
                each.output.href or "",
            )
            for each in self.changes
        ]
        rows += [("failed", failure.label, "", str(failure.error)) for failure in self.failures]
        rows += [("left out", image, "", reason) for image, reason in self.left_out.items()]
        return Table("Changes", ("scene", "before", "after", "map"), rows)

    def parcels(self) -> list[dict[str, str]]:
        """Return the statistics of each parcel in each map, in the order of time.

        Returns
        -------
        list of dict
            ``scene``, ``before_date``, ``after_date``, and the columns of ChangeDetect's table of
            parcels. Empty if no parcels were given.
        """
        return [
            {
                "scene": change.scene,
                "before_date": change.before_date.isoformat(),
                "after_date": change.after_date.isoformat(),
                **row,
            }
            for change in self.changes
            if "parcels_table" in change.job.outputs
            for row in csv.DictReader(io.StringIO(change.job.outputs["parcels_table"].text()))
        ]

    def draw(self) -> "Figure":
        """Draw all maps side by side, with their dates and one legend.

        Returns
        -------
        matplotlib.figure.Figure
            Shows itself in a notebook; ``figure.savefig("series.png")``.

        Raises
        ------
        ClientError
            If there is no map.
        """
        if not self.changes:
            raise ClientError("there is no map to draw")
        from matplotlib.figure import Figure

        across = min(PANELS_ACROSS, len(self.changes))
        down = -(-len(self.changes) // across)
        figure = Figure(
            (PANEL_INCHES * across + 1.2, (PANEL_INCHES + 0.4) * down), layout="constrained"
        )
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for panel in panels:
            panel.set_axis_off()
        for panel, change in zip(panels, self.changes, strict=False):
            shown = panel.imshow(_small_map(change.output), vmin=0, vmax=1, cmap=_colours())
            panel.set_title(f"{change.before_date} to {change.after_date}\n{change.scene}", size=9)
        figure.colorbar(shown, ax=panels, label="probability of change", shrink=0.7)
        return figure

    def save(self, folder: str | Path) -> Iterator[Path]:
        """Save the maps, the picture of all, and the table of the parcels if there is one.

        Parameters
        ----------
        folder : str or Path
            Made if it does not exist; files of the same names are replaced.

        Yields
        ------
        Path
            Each file when it is there.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for change in self.changes:
            yield change.output.save(target / f"change_{change.name}.tif")
            if "parcels" in change.job.outputs:
                yield change.job.outputs["parcels"].save(target / f"parcels_{change.name}.geojson")
        if rows := self.parcels():
            yield _write_rows(target / "parcels.csv", rows)
        if self.changes:
            picture = target / "series.png"
            self.draw().savefig(picture, dpi=130)
            yield picture


def _small_map(output: Output) -> Any:  # noqa: ANN401 - an array, without rasterio being imported
    with output.open() as dataset:
        scale = min(1.0, PANEL_PIXELS / max(dataset.shape))
        rows, cols = (max(1, round(side * scale)) for side in dataset.shape)
        return dataset.read(1, out_shape=(rows, cols))


def _colours() -> Any:  # noqa: ANN401 - matplotlib has no types
    from matplotlib import colormaps

    return colormaps["YlOrRd"].with_extremes(bad=NO_DATA_GREY)


def _write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path
