"""GeoServer's REST interface: requests, and what its answers mean.

NOTE: what GeoServer 2.2x does that one would not expect, and this client reckons with:
a list of one is an object and an empty list is ``""`` in JSON; a store that exists already gives
500, a workspace 409, a style 403; DELETE of a store with coverages gives 401, of a coverage with
a layer 403; PUT of what does not exist gives 404 or 500. Refusals are plain text where GeoServer
writes them itself, and JSON (Jetty) or a page (Tomcat, Jetty) where its container does.
"""

import html
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

from candela.errors import PublicationError, PublisherAwayError

logger = logging.getLogger(__name__)

Document = dict[str, Any]

JSON = "application/json"
TIMEOUT_S = (5.0, 60.0)  # to connect, and between two pieces of an answer
PING_TIMEOUT_S = (1.0, 2.0)
# Trying again does not help; it does where somebody else was faster (409, and 403 or 500).
REFUSALS = frozenset({400, 405, 406, 411, 413, 414, 415, 422})
SHOWN_CHARACTERS = 300  # of an answer that tells of an error
# Where the pages of servlet containers tell what was wrong: Jetty's and Tomcat's.
_ERROR_PAGES = (
    re.compile(r"<th>MESSAGE:</th>\s*<td>(.*?)</td>", re.DOTALL),
    re.compile(r"<b>Message</b>(.*?)</p>", re.DOTALL),
    re.compile(r"<title>(.*?)</title>", re.DOTALL),
)


class Answer(NamedTuple):
    """An answer that is no JSON document of the catalog."""

    media_type: str
    text: str


@dataclass(frozen=True)
class Account:
    """Who asks; there is no default."""

    user: str
    password: str = field(repr=False)


class GeoServerRest:
    """Asks one GeoServer.

    Parameters
    ----------
    url : str
        Its address, such as ``https://geoserver.internal/geoserver``.
    account : Account
        An account that may change the catalog.
    certificates : Path, optional
        The certificates that ``https:`` is checked against; by default those of the system.
    """

    def __init__(self, url: str, account: Account, *, certificates: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._account = account
        self._certificates = certificates
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.auth = (self._account.user, self._account.password)
        session.trust_env = False  # neither proxies nor ~/.netrc of whoever runs the gateway
        session.verify = str(self._certificates) if self._certificates else True
        return session

    def close(self) -> None:
        """Release all connections."""
        self._session.close()

    def get(self, *path: str, **query: str) -> Document | None:
        """Return a document, or None where there is none.

        Raises
        ------
        PublisherAwayError
            If GeoServer does not answer, or not as it should.
        """
        answer = self._ask("GET", path, query, allowed={404})
        if answer.status_code == 404:
            return None
        try:
            document = answer.json()
        except ValueError as error:
            raise PublisherAwayError(f"GeoServer: no JSON from {_shown(path)}") from error
        return document if isinstance(document, dict) else {}

    def ping(self) -> None:
        """Ask for next to nothing, and give up soon.

        Raises
        ------
        PublisherAwayError
            If GeoServer does not answer.
        """
        self._ask("GET", ("rest", "workspaces.json"), {}, timeout_s=PING_TIMEOUT_S)

    def read(self, *path: str, **query: str) -> Answer | None:
        """Return an answer as it is, or None where there is none."""
        answer = self._ask("GET", path, query, allowed={404}, headers={"Accept": "*/*"})
        if answer.status_code == 404:
            return None
        return Answer(answer.headers.get("Content-Type", ""), answer.text)

    def post(self, *path: str, document: Document | None = None, **query: str) -> None:
        """Make something of a document."""
        self._ask("POST", path, query, json=document)

    def put(self, *path: str, document: Document, **query: str) -> None:
        """Change something."""
        self._ask("PUT", path, query, json=document)

    def send(self, method: str, *path: str, content: bytes, media_type: str, **query: str) -> None:
        """Send something that is not JSON."""
        headers = {"Content-Type": media_type}
        self._ask(method, path, query, data=content, headers=headers)

    def delete(self, *path: str, **query: str) -> None:
        """Remove something; nothing there is no error."""
        self._ask("DELETE", path, query, allowed={404})

    def delete_unless_used(self, *path: str, **query: str) -> bool:
        """Remove something, or leave it where it is still in use; return whether it is gone."""
        return self._ask("DELETE", path, query, allowed={403, 404}).status_code != 403

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str],
        *,
        allowed: frozenset[int] | set[int] = frozenset(),
        headers: Mapping[str, str] | None = None,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        **content: Any,  # noqa: ANN401 - json= or data=
    ) -> requests.Response:
        url = "/".join((self.url, *(quote(part, safe=":") for part in path)))
        try:
            answer = self._session.request(
                method, url, params=dict(query), headers={"Accept": JSON, **(headers or {})},
                timeout=timeout_s, allow_redirects=False, **content,
            )  # fmt: skip
        except requests.RequestException as error:
            raise PublisherAwayError(f"GeoServer does not answer: {_reason(error)}") from error
        if (answer.ok and not answer.is_redirect) or answer.status_code in allowed:
            return answer
        told = f"GeoServer: {method} {_shown(path)}: {answer.status_code} {_excerpt(answer)}"
        if answer.status_code in REFUSALS:
            raise PublicationError(told)
        raise PublisherAwayError(told)


def listed(document: Document | None, outer: str, inner: str) -> list[Document]:
    """Return the members of a list as GeoServer writes it: none, one, or many."""
    held = (document or {}).get(outer) or {}
    members = held.get(inner) or [] if isinstance(held, dict) else []
    return members if isinstance(members, list) else [members]


def entries(document: Document) -> dict[str, str]:
    """Return the entries of a ``metadata`` map that are plain text."""
    return {
        str(entry["@key"]): str(entry["$"])
        for entry in listed(document, "metadata", "entry")
        if "@key" in entry and "$" in entry
    }


def _shown(path: tuple[str, ...]) -> str:
    return "/" + "/".join(path)


def _excerpt(answer: requests.Response) -> str:
    """Return the reason of a refusal: plain text of GeoServer, or a container's JSON or HTML."""
    media_type = answer.headers.get("Content-Type", "")
    text = answer.text
    if "json" in media_type:
        text = html.unescape(_message_in(text))  # NOTE: Jetty escapes it as in a page
    elif "html" in media_type:
        pages = (page.search(text) for page in _ERROR_PAGES)
        found = next((match.group(1) for match in pages if match), "")
        text = html.unescape(re.sub(r"<[^>]*>", " ", found))
    elif not media_type.startswith("text/plain"):
        text = ""
    return " ".join((text or answer.reason or "").split())[:SHOWN_CHARACTERS]


def _message_in(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    return str(document.get("message") or "") if isinstance(document, dict) else ""


def _reason(error: requests.RequestException) -> str:
    """Name an error without the address, which says nothing to a user."""
    names = {
        requests.exceptions.SSLError: "its certificate is not trusted",
        requests.exceptions.Timeout: "no answer in time",
        requests.exceptions.ConnectionError: "no connection",
    }
    return next((name for cls, name in names.items() if isinstance(error, cls)), "broken answer")
