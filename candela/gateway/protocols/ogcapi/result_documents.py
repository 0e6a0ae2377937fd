"""The results of a job: a document (results.yaml), or raw.

====================  ==========================================================================
response: document    JSON; a file stands in it as ``value``, or as ``href``
response: raw, one    the value itself
response: raw, many   multipart/related, a part for each output
raw, all by reference  204, and a Link header for each output with its name as relation
====================  ==========================================================================

Without a transmission mode, texts up to 1 MiB stand inline and all else is a reference; what is
above 8 MiB is always one. A single raw value is sent whatever its size is.
"""

import json
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from flask import Response
from werkzeug.wrappers import Response as BaseResponse

from candela.contract.job import Box
from candela.errors import NotFoundError
from candela.gateway.outputs import file_response
from candela.gateway.protocols.crs import is_latitude_first
from candela.gateway.protocols.ogcapi.descriptions import crs_uri
from candela.gateway.protocols.ogcapi.vocabulary import JSON, TEXT, Document
from candela.gateway.results import INLINE_BYTES, Addresses, JobOutput, literal_text
from candela.jobs.model import JobOutcome
from candela.jobs.request import ExecuteRequest, OutputRequest
from candela.storage.base import Storage

CRLF = b"\r\n"


def reference(output: JobOutput) -> Document:
    """Return an output as a link (link.yaml)."""
    return {"href": output.href, "type": output.media_type}


def box_document(box: Box) -> Document:
    """Return a bounding box (bbox.yaml)."""
    crs = crs_uri(box.crs)
    left, bottom, right, top = box.bbox
    is_swapped = is_latitude_first(crs)
    corners = [bottom, left, top, right] if is_swapped else [left, bottom, right, top]
    return {"bbox": corners, "crs": crs}


class Results:
    """The results of a job that has succeeded.

    Parameters
    ----------
    job : JobOutcome
    request : ExecuteRequest
        Which outputs were asked for, and how.
    outputs : mapping of str to JobOutput
        Those that were made.
    storage : Storage
    addresses : Addresses
    """

    def __init__(
        self,
        job: JobOutcome,
        request: ExecuteRequest,
        outputs: Mapping[str, JobOutput],
        storage: Storage,
        addresses: Addresses,
    ) -> None:
        names = request.outputs or outputs
        self._job = job
        self._requests = request.outputs
        self._is_raw = request.response == "raw"
        self._outputs = {name: outputs[name] for name in names if name in outputs}
        self._asked = list(names)
        self._storage = storage
        self._addresses = addresses

    def response(self) -> BaseResponse:
        """Answer in the form that was asked for.

        Raises
        ------
        NotFoundError
            If the one output that was asked for was not made.
        """
        if not self._is_raw:
            entries = {name: self._entry(output) for name, output in self._outputs.items()}
            return Response(json.dumps(entries, ensure_ascii=False), mimetype=JSON)
        if len(self._asked) == 1 and not self._outputs:
            raise NotFoundError(f"output {self._asked[0]!r} was not made by these inputs")
        links = {
            name: self._href(output)
            for name, output in self._outputs.items()
            if self._is_reference(output)
        }
        if len(links) == len(self._outputs):
            return self._linked(links)
        if len(self._outputs) == 1:
            (output,) = self._outputs.values()
            return self.value(output)
        return self._multipart(links)

    def _requested(self, output: JobOutput) -> OutputRequest | None:
        return self._requests.get(output.name)

    def _mode(self, output: JobOutput) -> str | None:
        requested = self._requested(output)
        return requested.transmission_mode if requested else None

    def _is_reference(self, output: JobOutput) -> bool:
        """Tell whether a raw output is a reference."""
        if output.file is None:
            return bool(output.href) or self._mode(output) == "reference"
        if self._mode(output):
            is_large = len(self._asked) > 1 and output.file.size > INLINE_BYTES
            return is_large or self._mode(output) == "reference"
        return len(self._asked) > 1 and not output.is_inline(None)

    def _href(self, output: JobOutput) -> str:
        """Return the address of an output; a value has one below the results."""
        return output.href or f"{self._addresses.results(self._job.id)}/{output.name}"

    def _entry(self, output: JobOutput) -> Any:  # noqa: ANN401 - JSON
        if output.is_inline(self._requested(output)):
            return self._qualified(output)
        if output.href or self._mode(output) == "reference":
            return {"href": self._href(output), "type": output.media_type}
        return box_document(output.value) if isinstance(output.value, Box) else output.value

    def _qualified(self, output: JobOutput) -> Document:
        content = output.content(self._storage, self._job.id)
        value: Any = None
        if output.is_text:
            value = _text(content)
        if value is not None and output.media_type.endswith("json"):
            value = _parsed(value)
        if value is None:
            encoded = b64encode(content).decode()
            return {"value": encoded, "encoding": "base64", "mediaType": output.media_type}
        return {"value": value, "mediaType": output.media_type}

    def value(self, output: JobOutput) -> BaseResponse:
        """Answer with the bare value of an output."""
        if output.file:
            return file_response(self._storage, self._job.id, output.file)
        media_type, content = _bare(output)
        return Response(content, content_type=media_type)

    @staticmethod
    def _linked(links: Mapping[str, str]) -> BaseResponse:
        response = Response(status=204)
        response.headers.pop("Content-Type", None)
        for name, href in links.items():
            response.headers.add("Link", f'<{href}>; rel="{name}"')
        return response

    def _multipart(self, links: Mapping[str, str]) -> BaseResponse:
        boundary = uuid.uuid4().hex
        parts = self._parts(boundary.encode(), links)
        return Response(parts, content_type=f'multipart/related; boundary="{boundary}"')

    def _parts(self, boundary: bytes, links: Mapping[str, str]) -> Iterator[bytes]:
        """Yield the parts; one file at a time is in memory."""
        for name, output in self._outputs.items():
            headers = {"Content-Type": output.media_type, "Content-ID": f"<{name}>"}
            content = b""
            if name in links:
                headers["Content-Location"] = links[name]
            elif output.file:
                content = output.content(self._storage, self._job.id)
                if not output.is_text:
                    headers["Content-Transfer-Encoding"] = "binary"
            else:
                headers["Content-Type"], content = _bare(output)
            lines = [f"{key}: {value}".encode() for key, value in headers.items()]
            yield CRLF.join((b"--" + boundary, *lines, b"", content, b""))
        yield b"--" + boundary + b"--" + CRLF


def _bare(output: JobOutput) -> tuple[str, bytes]:
    """Return the media type and the content of an output that is no file."""
    if isinstance(output.value, Box):
        return JSON, json.dumps(box_document(output.value)).encode()
    text = output.href if output.value is None else literal_text(output.value)
    return f"{TEXT}; charset=utf-8", text.encode(errors="replace")


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _parsed(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return the value of a JSON text; the text itself where another parser would refuse it."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
