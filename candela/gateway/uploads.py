"""Files that are too large for a request, in parts: /uploads, in the words of tus 1.0.0.

``POST /uploads`` announces a file (``Upload-Length``, ``Upload-Metadata``: name and SHA-256) and
answers with the address of the upload, which is secret. ``PATCH`` adds the part that begins at
``Upload-Offset``; ``HEAD`` says how much has come, ``GET`` also the address for a job's inputs.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from candela.errors import InvalidValueError, TooLargeError
from candela.gateway.access.identity import principal_of
from candela.gateway.parameters import whole_number
from candela.jobs.uploads import PART_BYTES, Upload, Uploads
from candela.settings import Limits, Settings
from candela.storage.base import Storage

VERSION = "1.0.0"
MAX_BYTES = 10**15  # that a header may name
MEDIA_TYPE = "application/offset+octet-stream"


def url(settings: Settings) -> str:
    """Return what the addresses of uploaded files begin with."""
    return f"{settings.base_url}/uploads/"


def make_uploads(settings: Settings, limits: Limits, storage: Storage) -> Uploads:
    """Return the uploads of a gateway."""
    return Uploads(
        storage,
        settings.folder / "incoming",
        url(settings),
        max_bytes=limits.max_input_bytes,
        stored_bytes=limits.upload_bytes,
        keep_s=limits.keep_upload_hours * 3600,
    )


@dataclass(frozen=True)
class Announcement:
    """What a client says of a file before it comes."""

    name: str
    size: int
    sha256: str

    @classmethod
    def read(cls) -> "Announcement":
        """Read it from the headers.

        Raises
        ------
        InvalidValueError
            If they are wrong.
        """
        metadata: dict[str, str] = {}
        for pair in request.headers.get("Upload-Metadata", "").split(","):
            key, _, value = pair.strip().partition(" ")
            try:
                metadata[key] = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                raise InvalidValueError(
                    f"the value of {key!r} is not base64 of a text", "Upload-Metadata"
                ) from None
        return cls(
            metadata.get("filename", ""), _number("Upload-Length"), metadata.get("sha256", "")
        )


def blueprint(uploads: Uploads) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("uploads", __name__)

    @routes.post("/uploads")
    def create() -> BaseResponse:
        announced = Announcement.read()
        principal = principal_of(request)
        secret = uploads.create(principal, announced.name, announced.size, announced.sha256)
        response = _answer(201, uploads.find(principal, secret))
        response.headers["Location"] = f"{uploads.address}{secret}"
        return response

    @routes.route("/uploads", methods=["OPTIONS"])
    def offer() -> BaseResponse:
        response = _answer(204)
        response.headers["Tus-Version"] = VERSION
        response.headers["Tus-Extension"] = "creation,termination"
        response.headers["Tus-Max-Size"] = str(uploads.max_bytes)
        return response

    @routes.get("/uploads/<secret>")  # HEAD too
    def state(secret: str) -> BaseResponse:
        upload = uploads.find(principal_of(request), secret)
        return _answer(200, upload, _description(uploads, upload))

    @routes.patch("/uploads/<secret>")
    def append(secret: str) -> BaseResponse:
        if request.mimetype != MEDIA_TYPE:
            raise InvalidValueError(
                f"the body is {request.mimetype!r}, expected {MEDIA_TYPE}", "Content-Type"
            )
        if (request.content_length or 0) > PART_BYTES:
            raise TooLargeError(
                f"the part has {request.content_length} bytes, at most {PART_BYTES} are expected"
            )
        principal, offset = principal_of(request), _number("Upload-Offset")
        return _answer(204, uploads.append(principal, secret, offset, request.stream))

    @routes.delete("/uploads/<secret>")
    def terminate(secret: str) -> BaseResponse:
        uploads.delete(principal_of(request), secret)
        return _answer(204)

    @routes.after_request
    def name_version(response: Response) -> Response:
        response.headers["Tus-Resumable"] = VERSION
        return response

    return routes


def _answer(status: int, upload: Upload | None = None, document: Any = None) -> BaseResponse:  # noqa: ANN401 - JSON
    response: BaseResponse = Response(status=status) if document is None else jsonify(document)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if upload:
        response.headers["Upload-Offset"] = str(upload.offset)
        response.headers["Upload-Length"] = str(upload.size)
    return response


def _description(uploads: Uploads, upload: Upload) -> dict[str, object]:
    document: dict[str, object] = {
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "offset": upload.offset,
        "partBytes": PART_BYTES,
        "complete": upload.is_complete,
    }
    return document | {"href": uploads.url(upload)} if upload.is_complete else document


def _number(header: str) -> int:
    return whole_number(request.headers.get(header, ""), header, 0, MAX_BYTES)
