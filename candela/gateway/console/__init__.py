"""Web pages: the landing page, a job's page and the map; and what the map shows, as JSON.

Templates and what they are given (``request`` and the filters below come by themselves):

landing.html
    metadata    title, abstract, provider, provider_url
    specs       ProcessSpec by identifier
    jobs        the newest jobs: id, process, title (what the user calls it), state, percent,
                message, created, started, finished, error_code, error_message (the last two None
                where nothing failed)
    job_count   how many jobs there are in all
    links       PageLink(href, title, text): capabilities, documentation ...
    base_url    the public address; maps_url that of the map services
job.html
    metadata    as above
    job         as in jobs
    spec        its ProcessSpec, or None where the process is no longer there
    inputs      PageValue(name, title, text, href): text is the value, or the name of a file;
                href an address or None
    outputs     PageOutput(name, title, media_type, href, size, text): text for a plain value,
                else href and size in bytes
    layers      ServedLayer of this job
    log         the tail of its log, as text; may be empty
api.html, document.html, jobs.html, process.html, processes.html
    metadata    title
    title       of the document
    document    JSON, as programs get it
map.html
    metadata    title
problem.html
    metadata    title
    problem     Problem: status, detail

All are drawn by ``page``: what is no ``Page`` gets no script to run (``gateway/browsers.py``).

The pages of the landing and of a job refresh themselves while something moves: a script fetches
the same address again and exchanges the elements marked ``data-live``.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Blueprint, jsonify, render_template, request
from werkzeug.wrappers import Response

from candela.gateway.access.browsers import Page
from candela.gateway.access.identity import principal_of
from candela.gateway.problems import Problem
from candela.publish.base import Publisher, ServedLayer, ServedSeries
from candela.settings import Metadata

UNITS = ("bytes", "kB", "MB", "GB", "TB")


class PageLink(NamedTuple):
    """A link and what it is good for."""

    href: str
    title: str
    text: str


class PageValue(NamedTuple):
    """An input of a job."""

    name: str
    title: str
    text: str
    href: str | None = None


class PageOutput(NamedTuple):
    """An output of a job."""

    name: str
    title: str
    media_type: str
    href: str | None = None
    size: int | None = None
    text: str = ""


def pages_blueprint(
    publisher: Publisher, metadata: Metadata, *, private: bool = False
) -> Blueprint:
    """Make the routes ``/map``, ``/layers.json`` and ``/assets``, and add templates and filters.

    The landing page and a job's page are templates only: their routes belong to the job service.
    Layers that are ``private`` are listed for their owners (and operators) only.
    """
    blueprint = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/assets",
    )
    for page_filter in (timestamp, duration, file_size, whole_percent):
        blueprint.add_app_template_filter(page_filter)

    @blueprint.get("/map")
    def map_page() -> Page:
        """Show the layers."""
        return page("map.html", metadata=metadata)

    @blueprint.get("/layers.json")
    def layers() -> Response:
        """List the layers for the map page."""
        principal = principal_of(request)
        mine = [layer for layer in publisher.layers() if not private or principal.sees(layer.owner)]
        by_name = {layer.name: layer for layer in mine}
        series = [
            series_document(item, [by_name[name] for name in item.layers])
            for item in publisher.series()
            if len(item.times) > 1 and by_name.keys() >= set(item.layers)
        ]
        return jsonify(layers=[layer_document(layer) for layer in mine], series=series)

    return blueprint


def page(template: str, **context: Any) -> Page:  # noqa: ANN401 - what templates take
    """Draw a page."""
    return Page(render_template(template, **context), mimetype="text/html")


def problem_page(problem: Problem, metadata: Metadata) -> Page:
    """Draw the page of an error."""
    drawn = page("problem.html", metadata=metadata, problem=problem)
    drawn.status_code = problem.status
    drawn.headers.extend(problem.headers)
    return drawn


def layer_document(layer: ServedLayer) -> dict[str, object]:
    """Return a layer as the map page wants it: bounds are west, south, east, north in degrees."""
    return {
        "name": layer.name,
        "job": layer.job_id,
        "title": layer.title,
        "abstract": layer.abstract,
        "style": layer.style,
        "bounds": layer.bounds,
        "bands": layer.bands,
        "attributes": layer.attributes,
        "legend": [entry._asdict() for entry in layer.legend],
        "published": layer.published.isoformat(),
        "wms": layer.links.wms,
        "wcs": layer.links.wcs,
        "wfs": layer.links.wfs,
    }


def series_document(series: ServedSeries, layers: Sequence[ServedLayer]) -> dict[str, object]:
    """Return a time series as the map page wants it: a layer with times."""
    wests, souths, easts, norths = zip(*(layer.bounds for layer in layers), strict=True)
    return layer_document(layers[-1]) | {
        "name": series.name,
        "job": None,
        "title": series.title,
        "abstract": f"{len(series.times)} dates",
        "bounds": (min(wests), min(souths), max(easts), max(norths)),
        "wms": series.links.wms,
        "wcs": series.links.wcs,
        "times": [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in series.times],
    }


def timestamp(time: dt.datetime | None) -> str:
    """Write a time in UTC, for people."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if time else ""


def duration(started: dt.datetime | None, finished: dt.datetime | None) -> str:
    """Write how long something took, or has been taking."""
    if started is None:
        return ""
    seconds = ((finished or dt.datetime.now(dt.UTC)) - started).total_seconds()
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {rest} s"
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{rest} s"


def file_size(size: int) -> str:
    """Write a number of bytes, for people."""
    value, unit = float(size), UNITS[0]
    for unit in UNITS:  # noqa: B007 - the last one is what is wanted
        if value < 1000:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == UNITS[0] else f"{value:.3g} {unit}"


def whole_percent(percent: float) -> int:
    """Write a progress as a whole number that is 100 only at the end."""
    return 100 if percent >= 100 else max(0, int(percent))
