"""The client: find processes, run them, take up jobs."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

from candela.client.credentials import without_user
from candela.client.descriptions import (
    ProcessDescription,
    ProcessList,
    describe_process,
    list_processes,
)
from candela.client.display import Table, html_table
from candela.client.errors import (
    InputValueError,
    NotFoundError,
    NotOfferedError,
    RequestRefusedError,
    ServerAnswerError,
)
from candela.client.inputs import FilesPolicy, encode_inputs
from candela.client.job import DocumentSource, Job, JobList, JsonSource, Source
from candela.client.keys import request_key
from candela.client.ogcapi import OgcApi
from candela.client.patches import Patches
from candela.client.processes import Processes
from candela.client.progress import UploadBar
from candela.client.status import STATUS_CODES, Status, info_from_execution, info_from_json
from candela.client.transport import IDEMPOTENCY_KEY, RETRIES, Transport
from candela.client.uploads import Uploader, UploadProgress, no_progress
from candela.client.wps import ProcessingService

TITLE_HEADER = "Candela-Title"
WPS_PATH = "/wps"
Protocol = Literal["auto", "ogcapi", "wps"]
PROTOCOLS = ("auto", "ogcapi", "wps")
DEFAULT_URL = "http://127.0.0.1:8080"


class Client:
    """A server's processes and jobs.

    Parameters
    ----------
    url : str
        The address of a CANDELA gateway or of any OGC API - Processes, or that of any WPS 1.0.0 if
        it ends in ``/wps``.
    endpoint : str, optional
        The address of the WPS, where it does not end in ``/wps``.
    files : str
        How local files (``pathlib.Path``) are sent: as a ``reference`` to their path, which the
        server must be able and allowed to read, or ``inline``: in the request up to 4 MiB, larger
        ones by an upload that goes on where it was interrupted. ``auto`` is
        ``inline``; when the server's address is on this machine, it is ``reference`` but for
        small files of text and vectors.
    auth : tuple of str, optional
        User and password (HTTP Basic). ``https://user:password@...`` is the same.
    token : str, optional
        A bearer token.
    headers : mapping of str to str, optional
        Other header fields that the server wants, such as ``{"X-Api-Key": "..."}``.
    verify : bool or Path
        Whether the server's certificate is checked; or a file of the authorities (PEM) to check it
        by. By default those of this machine.
    timeout_s : float
        How long an answer of the server may take to begin.
    retries : int
        How often a request is repeated that may be, when the server does not answer.
    priority : int
        Of the jobs that are started: those of higher priority come first among yours (a CANDELA
        gateway offers -9 to 9, unless its operator says otherwise).
    protocol : str
        ``ogcapi`` for OGC API - Processes, ``wps`` for WPS 1.0.0. ``auto`` is ``wps`` if the
        address ends in ``/wps`` or ``endpoint`` is given; otherwise the server is asked, at the
        first request, whether it offers ``ogcapi``.

    Notes
    -----
    Credentials go to the origin of ``url`` (and of ``endpoint``) alone: to no server that it
    redirects to, and to none that an output or layer lies on. Without any, ``~/.netrc`` is read.

    Attributes
    ----------
    processes : Processes
        ``client.processes()`` lists the processes that the server offers;
        ``client.processes.Echo(literal="hello")`` starts a job of one.
    patches : Patches
        Search in the gateway's database of patch models.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8080")  # doctest: +SKIP
    >>> job = client.execute("Echo", literal="hello").wait()  # doctest: +SKIP
    >>> job.outputs["literalOutput"].value  # doctest: +SKIP
    'hello'
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        endpoint: str | None = None,
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | Path | str = True,
        files: FilesPolicy = "auto",
        timeout_s: float = 60,
        retries: int = RETRIES,
        priority: int = 0,
        protocol: Protocol = "auto",
    ) -> None:
        if protocol not in PROTOCOLS:
            raise InputValueError(f"protocol is {protocol!r}, expected {', '.join(PROTOCOLS)}")
        self._headers = {"Prefer": f"priority={priority}"} if priority else {}
        if endpoint is not None:
            endpoint, user = without_user(endpoint)
            auth = auth or user
        address = url.rstrip("/")
        is_endpoint = address.lower().endswith(WPS_PATH)
        self.transport = Transport(
            address[: -len(WPS_PATH)] if is_endpoint else address,
            auth=auth,
            token=token,
            headers=headers,
            trusted=(endpoint,) if endpoint else (),
            verify=verify,
            timeout_s=timeout_s,
            retries=retries,
        )
        path = address[-len(WPS_PATH) :] if is_endpoint else WPS_PATH
        self._wps = ProcessingService(self.transport, endpoint or self.transport.base + path)
        self._ogcapi = OgcApi(self.transport)
        self._protocol = protocol
        if protocol == "auto" and (is_endpoint or endpoint is not None):
            self._protocol = "wps"
        if files == "auto" and not self.transport.is_on_this_machine:
            files = "inline"
        self._files: FilesPolicy = files
        self._descriptions: dict[str, ProcessDescription] = {}
        self._uploader = Uploader(self.transport)
        self.patches = Patches(self.transport)
        self.processes = Processes(self)

    def __repr__(self) -> str:
        return f"<Client of {self.transport.base}>"

    def _repr_html_(self) -> str:
        rows = [
            ("pages", f"{self.url}/"),
            ("map", f"{self.url}/map"),
            ("WPS", self._wps.endpoint),
        ]
        return html_table(Table(f"Client of {self.url}", ("", ""), rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self.transport.close()

    @property
    def url(self) -> str:
        """The address of the server."""
        return self.transport.base

    def _speaks_ogcapi(self) -> bool:
        """Tell the protocol; the server is asked once."""
        if self._protocol == "auto":
            self._protocol = "ogcapi" if self._ogcapi.is_offered() else "wps"
        return self._protocol == "ogcapi"

    def list_processes(self) -> ProcessList:
        """List the processes that the server offers; the same as ``processes()``."""
        return self._ogcapi.processes() if self._speaks_ogcapi() else list_processes(self._wps)

    def describe(self, identifier: str) -> ProcessDescription:
        """Return the description of a process; the server is asked once.

        Raises
        ------
        RequestRefusedError, NotFoundError
            If there is no such process.
        """
        if identifier not in self._descriptions:
            self._descriptions[identifier] = (
                self._ogcapi.process(identifier)
                if self._speaks_ogcapi()
                else describe_process(self._wps, identifier)
            )
        return self._descriptions[identifier]

    def execute(self, identifier: str, /, *, title: str = "", **inputs: object) -> Job:
        """Start a job.

        Parameters
        ----------
        identifier : str
            The process.
        title : str, optional
            The name of the job in lists of jobs.
        **inputs
            By the names of the description. A literal: a text, a number, a truth value, a date. A
            bounding box: ``(left, bottom, right, top)``, with a CRS after them if it is not the
            process's default. A file: a path, an address, an ``Output`` of another job, bytes, or
            text. Vectors: also GeoJSON as a dictionary, or what has a ``__geo_interface__``, such
            as a table of GeoPandas. Several values: a list.

        Returns
        -------
        Job
            On the server's disk already; it goes on when this program ends.

        Raises
        ------
        InputValueError
            If an input is unknown, missing, or of the wrong kind: nothing was sent.
        RequestRefusedError
            If the server does not accept the request.
        """
        with UploadBar() as bar:
            return self._execute(identifier, inputs, progress=bar.show, title=title)

    def submit(
        self,
        identifier: str,
        inputs: Mapping[str, object],
        *,
        attempt: int = 1,
        progress: UploadProgress = no_progress,
    ) -> Job:
        """Start a job unless the server has one of the same process, inputs and attempt.

        Parameters
        ----------
        identifier : str
            The process.
        inputs : mapping
            As for ``execute``. Local files are the same if path, size and time of change are.
        attempt : int
            Another number makes it another job.
        progress : callable, optional
            Is called during uploads with the percentage (0..100) and the present step.

        Returns
        -------
        Job
            The new one, or the one there is: it may be running, or have ended in any way.

        Raises
        ------
        InputValueError, RequestRefusedError
            As from ``execute``.
        """
        return self._execute(identifier, inputs, attempt=attempt, progress=progress)

    def _execute(
        self,
        identifier: str,
        inputs: Mapping[str, object],
        *,
        progress: UploadProgress,
        attempt: int | None = None,
        title: str = "",
    ) -> Job:
        process = self.describe(identifier)
        encoded = encode_inputs(
            process,
            inputs,
            files=self._files,
            send=lambda path: self._uploader.send(path, progress),
        )
        headers = dict(self._headers)
        if title:
            headers[TITLE_HEADER] = quote(title)
        if attempt is not None:
            headers[IDEMPOTENCY_KEY] = f"{request_key(process, encoded)}-{attempt}"
        if self._speaks_ogcapi():
            headers.setdefault(IDEMPOTENCY_KEY, str(uuid.uuid4()))
            info = self._ogcapi.execute(process, encoded, headers)
            made = JsonSource(self.transport, quote(info.id, safe="")) if info.id else None
            return Job(self.transport, made, info)
        return self._made(self._wps.execute(process.identifier, encoded, headers))

    def _made(self, execution: Any) -> Job:  # noqa: ANN401 - OWSLib has no types
        location = execution.statusLocation
        if not location:  # a server that runs everything at once
            return Job(self.transport, None, info_from_execution(execution, ""))
        job_id = urlsplit(location).path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".xml")
        source: Source = JsonSource(self.transport, job_id)
        try:
            info = source.poll()
        except (NotFoundError, RequestRefusedError, ServerAnswerError):
            source = DocumentSource(self._wps, location, job_id)
            info = info_from_execution(execution, job_id)
        return Job(self.transport, source, info)

    def job(self, job_id: str) -> Job:
        """Take up a job again.

        Parameters
        ----------
        job_id : str
            Its id, or the address of its status.

        Raises
        ------
        NotFoundError
            If the server has no such job.
        """
        job_id = job_id.removeprefix(f"{self.transport.base}/jobs/")
        if job_id.startswith(("http://", "https://")):
            location = job_id
            source: Source = DocumentSource(self._wps, location, location.rsplit("/", 1)[-1])
        else:
            source = JsonSource(self.transport, quote(job_id, safe=""))
        return Job(self.transport, source, source.poll())

    def jobs(
        self, *, status: Status | str | None = None, process: str | None = None, limit: int = 100
    ) -> JobList:
        """List jobs, the newest first.

        Parameters
        ----------
        status : Status, optional
            Only jobs of this status.
        process : str, optional
            Only jobs of this process.
        limit : int
            The number of jobs, at most.

        Raises
        ------
        NotOfferedError
            If the server has no list of jobs.
        """
        codes = {value: code for code, value in STATUS_CODES.items()}
        query: dict[str, object] = {"limit": limit}
        if status is not None:
            query["status"] = codes[Status(status)]
        if process is not None:
            query["processID"] = process
        try:
            answer = self.transport.json(f"{self.transport.base}/jobs", params=query)
            infos = [info_from_json(document) for document in answer["jobs"]]
        except (NotFoundError, ServerAnswerError, KeyError, TypeError):
            raise NotOfferedError(f"{self.transport.base} offers no list of jobs") from None
        return JobList(
            Job(self.transport, JsonSource(self.transport, info.id), info) for info in infos
        )
