"""Finished jobs with rasters that are layers, as the dispatcher leaves them in the job store."""

import datetime as dt

from candela.contract.job import OutputFile, OutputLiteral, ResultDocument
from candela.contract.layers import LayerContent, RasterHeader
from candela.jobs.footprints import footprint_of
from candela.jobs.model import Job, Link, State, new_id
from candela.jobs.store import JobStore

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOUNDS = (9.0, 45.08, 9.01, 45.09)


def raster(
    bounds: tuple[float, float, float, float] = BOUNDS,
    time: dt.datetime | None = None,
    nodata: str | None = "nan",
) -> OutputFile:
    """Return a raster of 64 x 80 pixels in UTM zone 32."""
    header = RasterHeader(
        epsg=32632, extent=(5e5, 4_999_360, 500_800, 5e6), bounds=bounds, rows=64, cols=80,
        dtype="float32", nodata=nodata, bands=("probability",), time=time,
    )  # fmt: skip
    return OutputFile(
        file="change map.tif", media_type="image/tiff; subtype=geotiff", size=12_345,
        sha256=64 * "a", layer=LayerContent(header=header),
    )  # fmt: skip


def add_mapped_job(
    store: JobStore,
    *,
    created: dt.datetime | None = None,
    owner: str = "",
    title: str = "",
    outputs: dict[str, OutputFile] | None = None,
    text: str = "x",
    state: State = State.SUCCEEDED,
    expires: dt.datetime | None = None,
) -> str:
    """Write a job of SarChangeDetect, by default a second younger than the one before."""
    created = created or START + dt.timedelta(seconds=store.count())
    job_id = new_id()
    made = outputs or {"change": raster()}
    result = ResultDocument(
        job=job_id, status="succeeded", outputs={**made, "text": OutputLiteral(value=text)}
    )
    links = {
        name: Link(
            f"layer_{name}", f"https://maps.test/{name}/wms", f"https://maps.test/{name}/wcs"
        )
        for name in made
    }
    store.add(
        Job(
            job_id, "SarChangeDetect", "0.0.0", created, created, owner=owner, title=title,
            state=state, result=result, links=links, footprint=footprint_of(result),
            finished=created + dt.timedelta(minutes=1), expires=expires,
        )
    )  # fmt: skip
    return job_id
