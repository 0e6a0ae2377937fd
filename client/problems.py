"""What a server says of a request that it does not fulfil, in any of its dialects.

RFC 9457 (``application/problem+json``), the JSON of older gateways (``title``, ``status``,
``code``), exception reports of the OGC (OWS Common, WMS), and plain text.
"""

import json
from dataclasses import dataclass
from typing import Any

from owslib.etree import etree

from candela.client.errors import (
    AccessDeniedError,
    ClientError,
    NotFoundError,
    RequestRefusedError,
    ServerUnreachableError,
)

LONGEST_TEXT = 500  # letters of an answer that is no document of a known kind


@dataclass(frozen=True)
class Problem:
    """What is wrong.

    Attributes
    ----------
    message : str
        One line: the detail, or else the title.
    code : str
        An exception code of the OGC, such as ``InvalidParameterValue``.
    locator : str
        The input or parameter to blame.
    type, title, instance : str
        As of RFC 9457; ``instance`` is what the operator finds in the log.
    """

    message: str = ""
    code: str = ""
    locator: str = ""
    type: str = ""
    title: str = ""
    instance: str = ""


def read_problem(content: bytes, media_type: str) -> Problem:
    """Read the body of an error; what is for people's browsers alone says nothing."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        return _of_json(content)
    if kind.endswith("xml"):
        return _of_xml(content)
    if kind == "text/plain":
        return Problem(_line(content.decode("utf-8", errors="replace")))
    return Problem()


def error_of(status: int, reason: str, problem: Problem, *, base: str) -> ClientError:
    """Return the error that an HTTP status and a problem mean.

    Parameters
    ----------
    status : int
        HTTP status, 400 to 599.
    reason : str
        Its phrase, such as ``Unauthorized``: the message where the problem has none.
    problem : Problem
    base : str
        The address of the server.
    """
    message = problem.message or f"HTTP {status} {reason}".rstrip()
    if status == 401:
        message += f" (the credentials for {base} are missing or wrong)"
    if status in {404, 410}:
        return NotFoundError(message)
    if status == 429 or status >= 500:
        return ServerUnreachableError(f"{base} cannot answer now: {message}")
    kind = AccessDeniedError if status in {401, 403} else RequestRefusedError
    return kind(
        message,
        code=problem.code or f"HTTP {status}",
        locator=problem.locator,
        status=status,
        instance=problem.instance,
    )


def _of_json(content: bytes) -> Problem:
    try:
        document = json.loads(content)
    except ValueError:
        return Problem()
    if not isinstance(document, dict):
        return Problem()

    def text(name: str) -> str:
        value = document.get(name)
        return _line(value) if isinstance(value, str) else ""

    return Problem(
        message=text("detail") or text("title") or text("description"),
        code=text("code"),
        locator=text("locator"),
        type=text("type"),
        title=text("title"),
        instance=text("instance"),
    )


def _of_xml(content: bytes) -> Problem:
    try:
        root = etree.fromstring(content)
    except etree.XMLSyntaxError:
        return Problem()
    return _of_report(root) or Problem()


def refuse_report(root: Any) -> None:  # noqa: ANN401 - lxml's element
    """Raise what an exception report says; old servers send them with HTTP 200.

    Raises
    ------
    RequestRefusedError
        If the document is one.
    """
    problem = _of_report(root)
    if problem is not None:
        raise RequestRefusedError(problem.message, code=problem.code, locator=problem.locator)


def _of_report(root: Any) -> Problem | None:  # noqa: ANN401 - lxml's element
    """Return the first exception of a report of the OGC; None if the document is none."""
    name = etree.QName(root).localname
    if name == "ExceptionReport":  # OGC 06-121r3, 8: WPS, WCS, WFS
        exception = root.find("{*}Exception")
        if exception is None:
            return Problem(_line(" ".join(root.itertext())))
        code = exception.get("exceptionCode") or ""
        text = _line(exception.findtext("{*}ExceptionText") or "")
        return Problem(text or code, code, exception.get("locator") or "")
    if name == "ServiceExceptionReport":  # OGC 06-042, E.2: WMS
        exception = root.find("{*}ServiceException")
        if exception is None:
            return Problem(_line(" ".join(root.itertext())))
        code = exception.get("code") or ""
        return Problem(_line(exception.text or "") or code, code, exception.get("locator") or "")
    return None


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_TEXT]
