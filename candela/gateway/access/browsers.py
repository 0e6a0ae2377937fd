"""What browsers may do with answers: run no script but our own, take no orders from other sites.

Answers are of three kinds, and a header says to the browser which:

pages      ours (``Page``): scripts, styles and pictures of this origin, nothing inline
documents  of programs, which may hold what users sent: a sandbox without scripts, and a download
           where a browser would render markup
files      of pages (``/assets``): as documents, which costs a script or a style nothing

Cross-origin reads are open (``Access-Control-Allow-Origin``); what changes something is refused to
pages of other sites. Programs send neither ``Origin`` nor ``Sec-Fetch-Site``.
"""

from typing import NamedTuple, Self
from urllib.parse import urlsplit

from flask import Flask, Response, request

from candela.errors import OtherSiteError
from candela.settings import Settings

READ_BY_ALL = (
    "/", "/api", "/conformance", "/jobs", "/layers.json", "/outputs", "/ows", "/patches",
    "/processes", "/stac", "/wps",
)  # fmt: skip
SERVICES = "/ows"
ONLY_ASKS = (SERVICES, "/stac")  # also by POST: nothing is changed there
MARKUP = frozenset(
    {"text/html", "text/xml", "application/xml", "text/xsl", "application/pdf",
     "multipart/x-mixed-replace"}
)  # fmt: skip
OF_OURS = "inline"  # the disposition of XML that holds nothing of users: browsers may show it
SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
SHOWN_AS_TREE = "; style-src 'unsafe-inline'"  # browsers' own, of XML
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
ASKED_WITH = "Accept, Content-Type, Idempotency-Key, If-None-Match, If-Range, Prefer, Range"
TOLD = (
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Location, Preference-Applied, "
    "Retry-After"
)
PREFLIGHT_S = 86_400


class Page(Response):
    """A page of ours: its scripts may run."""


class Sites(NamedTuple):
    """Which sites there are for a browser, each as ``scheme://host:port``.

    Attributes
    ----------
    own : str
        That of the gateway.
    maps : str
        That of the map server.
    readers : tuple of str
        Sites whose pages may read answers; ``*`` means all. Those that are named may also order
        jobs.
    """

    own: str
    maps: str = ""
    readers: tuple[str, ...] = ("*",)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the sites of a gateway."""
        readers = tuple(site.rstrip("/").lower() for site in settings.readers)
        return cls(origin_of(settings.base_url), origin_of(settings.geoserver_site), readers)


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, or nothing."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else ""


def wants_html() -> bool:
    """Tell whether the client would rather have a page than JSON; only browsers say so."""
    offered = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(offered, default=offered[0]) == "text/html"


def protect(app: Flask, sites: Sites) -> None:
    """Refuse what pages of other sites order, and tell browsers what each answer may do."""
    policy = page_policy(sites)

    @app.before_request
    def refuse() -> None:
        is_asking = request.method in {"GET", "HEAD", "OPTIONS"} or any(map(_is_below, ONLY_ASKS))
        if not is_asking:
            refuse_other_sites(sites)

    @app.after_request
    def bound(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if isinstance(response, Page):
            response.headers["Content-Security-Policy"] = policy
            return response
        is_ours = response.headers.get("Content-Disposition") == OF_OURS
        response.headers["Content-Security-Policy"] = SANDBOX + (SHOWN_AS_TREE if is_ours else "")
        if _is_rendered(response):
            _, semicolon, name = response.headers.get("Content-Disposition", "").partition(";")
            response.headers["Content-Disposition"] = f"attachment{semicolon}{name}"
        if any(_is_below(path) for path in READ_BY_ALL):
            _open_to_readers(response, sites)
        return response


def page_policy(sites: Sites) -> str:
    """Return the content security policy of pages: nothing inline, no host but ours."""
    hosts = " ".join(dict.fromkeys(host for host in (sites.own, sites.maps) if host))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' data: {hosts}; connect-src 'self' {hosts}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def refuse_other_sites(sites: Sites) -> None:
    """Refuse the request if a page of another site made the browser send it.

    Raises
    ------
    OtherSiteError
        If so. NOTE: over plain HTTP browsers leave ``Sec-Fetch-Site`` out; a link is then told by
        its ``Referer`` alone.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() in sites.readers:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_ours = site in {"same-origin", "none"}
    else:
        sender = origin if origin is not None else request.headers.get("Referer", "")
        own = {sites.own, origin_of(request.host_url)}
        is_ours = not sender or origin_of(sender) in own
    if not is_ours:
        raise OtherSiteError("pages of other sites may not order this; open the address itself")


def _is_below(path: str) -> bool:
    return request.path == path or request.path.startswith(f"{path}/")


def _is_rendered(response: Response) -> bool:
    """Tell whether a browser would render the answer as markup that may be a user's."""
    media_type = response.mimetype or ""
    is_xml = media_type.endswith(("+xml", "/xml"))
    if is_xml and media_type not in {"application/xhtml+xml", "image/svg+xml"}:
        is_ours = response.headers.get("Content-Disposition") == OF_OURS
        return not (is_ours or _is_below(SERVICES))
    return is_xml or media_type in MARKUP


def _open_to_readers(response: Response, sites: Sites) -> None:
    origin = request.headers.get("Origin", "")
    is_open = "*" in sites.readers
    if not is_open:
        response.vary.add("Origin")
    if not is_open and origin.lower() not in sites.readers:
        response.headers.pop("Access-Control-Allow-Origin", None)
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if is_open else origin
    response.headers["Access-Control-Expose-Headers"] = TOLD
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "GET")
        response.headers["Access-Control-Allow-Headers"] = ASKED_WITH
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
