"""What crosses the border between gateway and worker: job.json and result.json.

A job lives in storage under ``jobs/<id>/``::

    job.json        what the worker reads; of the n-th attempt job-<n>.json
    inputs/<file>   values of the request that are large
    outputs/<file>  what it made
    log.txt         what it said
    result.json     written last: the truth about the outcome

Input values are those of the OGC API - Processes execute request (OGC 18-062r2, 7.11).
"""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from candela.contract.layers import LayerContent

LOG_FILE = "log.txt"
RESULT_FILE = "result.json"
OUTPUTS_FOLDER = "outputs"
UPLOADED_FOLDER = "file"
INPUTS_FOLDER = "inputs"


def job_file(attempt: int) -> str:
    """Return the name of the document of an attempt: no attempt writes into that of another."""
    return "job.json" if attempt == 1 else f"job-{attempt}.json"


def job_key(job_id: str, *parts: str) -> str:
    """Return the storage key of a job's file."""
    return "/".join(("jobs", job_id, *parts))


def upload_key(upload: str, *parts: str) -> str:
    """Return the storage key of an uploaded file: ``uploads/<upload>/file/<name>``.

    The key exists as soon as all has come and the checksum is right, not before.
    """
    return "/".join(("uploads", upload, *parts))


class Assignment(NamedTuple):
    """What a worker that was started beforehand is to run."""

    job: str
    attempt: int = 1


class Document(BaseModel):
    """A frozen JSON document that refuses what it does not know, and what JSON does not."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )

    def to_json(self) -> str:
        """Return the document as JSON text, without what was not set."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class Reference(Document):
    """A value that stands elsewhere; resolved by the worker.

    ``body``, or what ``body_reference`` points to, is sent with method POST.
    """

    href: str
    type: str | None = None  # media type
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    body_reference: str | None = Field(default=None, alias="bodyReference")


class Inline(Document):
    """A complex value that stands in the request itself."""

    value: str
    media_type: str | None = Field(default=None, alias="mediaType")
    encoding: Literal["base64"] | None = None


class Box(Document):
    """A bounding box; ``bbox`` is min x, min y, max x, max y whatever the CRS's axis order."""

    bbox: tuple[float, float, float, float]
    crs: str = "EPSG:4326"


class StoredValue(Document):
    """A value too large for the request: its JSON is a file of the job, under ``inputs/``."""

    file: str
    size: int
    sha256: str


Literal_ = bool | int | float | str
Value = Reference | Inline | StoredValue | Box | Literal_
Values = Annotated[
    list[Value], BeforeValidator(lambda value: value if isinstance(value, list) else [value])
]


class Staging(Document):
    """Where references may point.

    Attributes
    ----------
    outputs_url : str
        Addresses under it are outputs of other jobs: taken from storage, not over HTTP.
    uploads_url : str
        Addresses under it are files that users have uploaded: taken from storage too.
    allowed_folders : tuple of str
        ``file:`` references must lie in one of these folders.
    allowed_hosts : tuple of str
        What may be fetched from beside public addresses: ``host``, ``host:port`` or a network such
        as ``10.0.0.0/8`` (see ``candela.contract.addresses``).
    allowed_buckets : tuple of str
        ``s3:`` references must lie in one of these: ``bucket`` or ``bucket/prefix``.
    max_input_bytes : int
        Upper limit of one input.
    """

    outputs_url: str = ""
    uploads_url: str = ""
    allowed_folders: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_buckets: tuple[str, ...] = ()
    max_input_bytes: int = 16 * 2**30


class ProgressTarget(Document):
    """Where the worker reports progress: ``POST url`` with ``Authorization: Bearer token``.

    The body is ``{"percent": 0..100, "message": "..."}``; a failed report is never an error.
    """

    url: str
    token: str


class JobDocument(Document):
    """job.json: all that a worker is told."""

    id: str
    process: str
    version: str
    attempt: int = 1
    owner: str = ""  # who asked; empty if the gateway does not know
    inputs: dict[str, Values] = Field(default_factory=dict)  # validated, defaults filled in
    cpu: float = 1
    staging: Staging = Staging()
    progress: ProgressTarget | None = None
    description: dict[str, Any] | None = None  # of a process added at run time: its process.yaml


class OutputFile(Document):
    """An output that is a file under ``outputs/``; with it what a map server must know of it."""

    file: str
    media_type: str = Field(alias="mediaType")
    size: int
    sha256: str
    layer: LayerContent | None = None  # of one that becomes a layer
    unplaced: bool | None = None  # true of a raster in pixel coordinates, which becomes none


class OutputLiteral(Document):
    """An output that is a word or a number."""

    value: Literal_


Output = OutputFile | OutputLiteral | Box


class Failure(Document):
    """Why a job failed.

    Attributes
    ----------
    kind : str
        Class name of a ``PublicError`` (its message is for the user), or ``InternalError``.
    log : str, optional
        The last lines of the log, as the user may see them; added by the gateway.
    """

    kind: str
    message: str
    locator: str = ""
    log: str | None = None


class Usage(Document):
    """What a job used.

    Attributes
    ----------
    started : float, optional
        When the worker began (seconds since the epoch).
    """

    started: float | None = None
    wall_s: float = 0
    cpu_s: float = 0
    max_rss_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0


class ResultDocument(Document):
    """result.json: the outcome of a job."""

    job: str
    attempt: int = 1
    status: Literal["succeeded", "failed"]
    outputs: dict[str, Output] = Field(default_factory=dict)
    error: Failure | None = None
    usage: Usage = Usage()


RESULT_STORED = "the result is stored"  # the last progress message: result.json is there

EXIT_SUCCEEDED = 0
EXIT_INTERNAL = 1  # our mistake, or the process's: trying again may help
EXIT_REFUSED = 3  # the input is to blame: trying again does not help
EXIT_UNAVAILABLE = 4  # the storage does not work: trying again may help; no result.json
EXIT_TERMINATED = 143  # ended from outside, by SIGTERM
