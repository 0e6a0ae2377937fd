"""What the gateway asks of a map server."""

import datetime as dt
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from candela.contract.layers import RasterHeader, VectorHeader


@dataclass(frozen=True)
class Layer:
    """A raster, or polygons, to be shown.

    Attributes
    ----------
    name : str
        Unique and stable: ``<process>_<job id>_<output>``, letters, digits and ``_`` only.
    job_id : str
        The job that made it; removing the job removes the layer.
    path : Path
        The GeoTIFF, GeoJSON or GeoPackage.
    title, abstract : str
        For people.
    style : str
        The name of a style in ``candela/publish/styles``; it tells rasters and polygons apart.
    process, output : str
        The process that made it, and which of its outputs it is: what comes of the same output,
        for the same owner and on one grid, is a time series.
    owner : str
        Whose job it was; empty where nobody is told apart.
    lineage : str
        The address of the job's page.
    href : str
        The address in the storage (``file:`` or ``s3:``), for map servers on other machines.
    header : RasterHeader, VectorHeader or None
        What the worker found in the file; read from it where there is none.
    features : Path or None
        The polygons as map servers want them, as the worker wrote them: a GeoPackage with one table
        that is called like the layer.
    """

    name: str
    job_id: str
    path: Path
    title: str
    abstract: str
    style: str
    _: KW_ONLY
    process: str = ""
    output: str = ""
    owner: str = ""
    lineage: str = ""
    href: str = ""
    header: RasterHeader | VectorHeader | None = None
    features: Path | None = None


@dataclass(frozen=True)
class LayerLinks:
    """Where a layer is served, by clean addresses that clients take as a service's base.

    Rasters have a WCS, polygons a WFS; the other one is empty.
    """

    wms: str
    wcs: str = ""
    wfs: str = ""


class LegendEntry(NamedTuple):
    """One line of a legend: a label and the colours of its patch, from left to right."""

    label: str
    colours: tuple[str, ...]


@dataclass(frozen=True)
class ServedLayer(Layer):
    """A layer as it is served.

    Attributes
    ----------
    links : LayerLinks
        Its services.
    bounds : tuple of float
        West, south, east and north in degrees (WGS 84).
    bands : tuple of str
        The names of the raster's bands; none for polygons.
    attributes : tuple of str
        The names of the polygons' attributes; none for a raster.
    legend : tuple of LegendEntry
        What its colours mean.
    published : datetime
        When it was published first.
    time : datetime or None
        When what it shows was seen, where the raster tells.
    series : str
        The name of the time series that it is part of; empty where it is part of none.
    """

    links: LayerLinks
    bounds: tuple[float, float, float, float]
    bands: tuple[str, ...]
    legend: tuple[LegendEntry, ...]
    published: dt.datetime
    time: dt.datetime | None = None
    series: str = ""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServedSeries:
    """Layers of the same kind as one layer with a time dimension.

    Attributes
    ----------
    name : str
        ``<process>_<output>_<EPSG code>_<sign>``; the sign stands for owner, style and bands.
    times : tuple of datetime
        When there is something to see, in order.
    layers : tuple of str
        The names of the layers that it is made of.
    """

    name: str
    title: str
    owner: str
    links: LayerLinks
    times: tuple[dt.datetime, ...]
    layers: tuple[str, ...]


class Publisher(Protocol):
    """Makes layers of rasters and polygons, and time series of rasters of the same kind.

    All methods may be repeated without harm, and cut off anywhere: the same call later completes
    what is half done. They raise ``PublisherAwayError`` where the map server does not answer.

    Attributes
    ----------
    reads_in_place : bool
        Whether a raster must stay where it was when it was published.
    shows_polygons: bool
        Whether polygons can be shown as well as rasters.
    is_embedded : bool
        Whether the map server is part of the gateway, which is not ready without it.
    """

    reads_in_place: bool
    shows_polygons: bool
    is_embedded: bool

    def start(self) -> None:
        """Make the map server ready, or check that it is."""

    def stop(self) -> None:
        """Release what ``start`` took."""

    def publish(self, layer: Layer) -> LayerLinks:
        """Serve the layer by WMS, and by WCS or WFS.

        Raises
        ------
        PublicationError
            If the map server refuses it.
        """

    def remove(self, job_id: str) -> None:
        """Serve the layers of a job no longer."""

    def jobs(self) -> set[str]:
        """Return the ids of the jobs of which anything is there, even by halves."""

    def layers(self) -> list[ServedLayer]:
        """List what is served, in the order of publication."""

    def series(self) -> list[ServedSeries]:
        """List the time series of what is served, by name."""

    def unreadable(self) -> list[str]:
        """List the layers that are there but not served, since their record cannot be read."""

    def ping(self) -> None:
        """Ask the map server whether it is there, and give up soon."""
