"""How a GeoServer says no: some refusals it words itself, others its servlet container does."""

import html
import json
from typing import NamedTuple

REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 415: "Unsupported Media Type",
    500: "Internal Server Error",
}  # fmt: skip
OF_CONTAINER = frozenset({400, 401, 403, 405, 409})


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str = "", *, by_container: bool | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.by_container = status in OF_CONTAINER if by_container is None else by_container


class Body(NamedTuple):
    media_type: str
    content: str


def body_of(refusal: RefusalError, method: str, path: str, accept: str, container: str) -> Body:
    """Write a refusal as Jetty or Tomcat would, or GeoServer itself.

    Jetty writes no bodies for PUT and DELETE.
    """
    text = str(refusal)
    if not refusal.by_container or not text:
        return Body("" if refusal.by_container else "text/plain", text)
    if container == "tomcat":
        title = f"HTTP Status {refusal.status} \u2013 {REASONS.get(refusal.status, '')}"
        page = (
            f'<!doctype html><html lang="en"><head><title>{title}</title></head><body>'
            f'<h1>{title}</h1><hr class="line" /><p><b>Type</b> Status Report</p>'
            f"<p><b>Message</b> {html.escape(text)}</p></body></html>"
        )
        return Body("text/html;charset=utf-8", page)
    if method not in {"GET", "POST", "HEAD"}:
        return Body("", "")
    if "json" in accept:
        told = {
            "servlet": "dispatcher",
            "message": html.escape(text).replace("&#x27;", "&apos;"),
            "url": path,
            "status": f"{refusal.status}",
        }
        return Body("application/json", json.dumps(told))
    page = (
        f"<html><head><title>Error {refusal.status} {html.escape(text)}</title></head><body><table>"
        f"<tr><th>STATUS:</th><td>{refusal.status}</td></tr>"
        f"<tr><th>MESSAGE:</th><td>{html.escape(text)}</td></tr></table></body></html>"
    )
    return Body("text/html;charset=iso-8859-1", page)
