"""A job on a server."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from candela.client.display import Table, frame_of, html_table, text_table
from candela.client.errors import (
    JobDismissedError,
    JobFailedError,
    NotFoundError,
    NotOfferedError,
    WaitTimeoutError,
)
from candela.client.layers import Layer
from candela.client.outputs import LAYER_TYPES, Output
from candela.client.progress import Bar, progress_bars
from candela.client.status import (
    JobInfo,
    Status,
    info_from_execution,
    info_from_json,
    output_of_results,
)
from candela.client.transport import Transport
from candela.client.waiting import follow
from candela.client.wps import ProcessingService


class Source(Protocol):
    """Where the status of a job comes from."""

    def poll(self) -> JobInfo:
        """Ask the server."""


@dataclass(frozen=True)
class JsonSource:
    """The job resource of OGC API - Processes, ``/jobs/<id>``."""

    transport: Transport
    job_id: str

    @property
    def address(self) -> str:
        """The address of the resource."""
        return f"{self.transport.base}/jobs/{self.job_id}"

    def poll(self) -> JobInfo:
        """Ask for the statusInfo, and for the results where it does not list the outputs."""
        document = self.transport.json(self.address)
        info = info_from_json(document)
        if info.status is not Status.SUCCEEDED or "outputs" in document:
            return info
        results = self.transport.json(f"{self.address}/results")
        if not isinstance(results, dict):
            return info
        outputs = {name: output_of_results(value) for name, value in results.items()}
        return replace(info, outputs=outputs)


@dataclass(frozen=True)
class DocumentSource:
    """The status document of any WPS 1.0.0."""

    service: ProcessingService
    location: str
    job_id: str

    def poll(self) -> JobInfo:
        """Ask for the document."""
        return info_from_execution(self.service.status(self.location), self.job_id)


class Job:
    """A job on a server; made by ``Client.execute`` or ``Client.job``.

    Parameters
    ----------
    transport : Transport
        To the server where it is.
    source : Source, optional
        Where its status comes from; without one, ``info`` is final.
    info : JobInfo
        Its status of the last answer.
    """

    def __init__(self, transport: Transport, source: Source | None, info: JobInfo) -> None:
        self._transport = transport
        self._source = source
        self._info = info

    def __repr__(self) -> str:
        status = f"{self._info.status}, {self._info.percent} %"
        message = self._info.message
        note = f", {message!r}" if message and message != self._info.status else ""
        title = f" {self.title!r}" if self.title else ""
        return f"<Job {self.id}{title} of {self.process}: {status}{note}>"

    def _repr_html_(self) -> str:
        return html_table(self.table())

    def table(self) -> Table:
        """Return the job as a table."""
        rows = [("status", str(self._info.status)), ("message", self._info.message)]
        if self.created:
            rows.append(("created", f"{self.created.astimezone():%Y-%m-%d %H:%M}"))
        if self.duration:
            rows.append(("duration", f"{self.duration.total_seconds():.0f} s"))
        if self._info.status is Status.SUCCEEDED:
            rows += [(name, out.href or repr(out.value)) for name, out in self.outputs.items()]
        return Table(f"{self.title or f'Job {self.id}'} of {self.process}", ("", ""), rows)

    def describe(self) -> str:
        """Return the job as text."""
        return text_table(self.table())

    @property
    def id(self) -> str:
        """The id that the server gave it."""
        return self._info.id

    @property
    def process(self) -> str:
        """The process that it runs."""
        return self._info.process

    @property
    def title(self) -> str:
        """The name that the user gave it."""
        return self._info.title

    @property
    def created(self) -> dt.datetime | None:
        """When it was accepted; None if the server does not say."""
        return self._info.created

    @property
    def duration(self) -> dt.timedelta | None:
        """How long it has run, so far or altogether; None before its start."""
        return self._info.duration

    @property
    def inputs(self) -> Mapping[str, object]:
        """The inputs: lists of values by name, files without their content.

        Empty if the server does not list them.
        """
        if not self._info.inputs and isinstance(self._source, JsonSource):
            self._info = self._source.poll()
        return self._info.inputs

    @property
    def info(self) -> JobInfo:
        """The status of the last answer; sends no request."""
        return self._info

    @property
    def status(self) -> Status:
        """The status now: asks the server unless the job has ended."""
        return self.refresh().status

    @property
    def percent(self) -> int:
        """The progress, 0..100, of the last answer."""
        return self._info.percent

    @property
    def message(self) -> str:
        """The message of the last answer."""
        return self._info.message

    @property
    def succeeded(self) -> bool:
        """Whether the job has ended well; asks the server unless the job has ended."""
        return self.status is Status.SUCCEEDED

    def refresh(self) -> JobInfo:
        """Ask the server for the status, unless the job has ended."""
        if self._source is not None and not self._info.status.is_final:
            self._info = self._source.poll()
        return self._info

    def wait(
        self,
        *,
        progress: bool | None = None,
        timeout_s: float | None = None,
        on_status: Callable[[JobInfo], None] | None = None,
    ) -> "Job":
        """Wait until the job has ended well.

        Parameters
        ----------
        progress : bool, optional
            Whether to show a progress bar; by default in terminals and notebooks.
        timeout_s : float, optional
            How long to wait; by default for ever.
        on_status : callable, optional
            Is called with each answer of the server, in place of the progress bar.

        Returns
        -------
        Job
            This job.

        Raises
        ------
        JobFailedError, JobDismissedError
            If it ended otherwise.
        WaitTimeoutError
            If it has not ended in time; it goes on.
        ServerUnreachableError
            If the server stays away for more than a minute; the job goes on there.
        """
        try:
            if on_status is not None:
                self._follow(on_status, timeout_s)
            else:
                with progress_bars(progress) as bars:
                    self._follow(_shown(bars.add(self.title or self.process)), timeout_s)
        except KeyboardInterrupt as error:
            error.add_note(f"The job goes on: Client({self._transport.base!r}).job({self.id!r})")
            raise
        if self._info.status is not Status.SUCCEEDED:
            self._raise()
        return self

    def _follow(self, on_status: Callable[[JobInfo], None], timeout_s: float | None) -> None:
        def keep(info: JobInfo) -> None:
            self._info = info
            on_status(info)

        keep(self._info)
        if not self._info.status.is_final:
            try:
                follow(self.refresh, keep, timeout_s=timeout_s)
            except WaitTimeoutError as error:
                raise WaitTimeoutError(f"job {self.id}: {error}") from None

    def _raise(self) -> NoReturn:
        info = self._info
        kind = JobDismissedError if info.status is Status.DISMISSED else JobFailedError
        message = info.message or f"job {info.id} ended as {info.status}"
        raise kind(message, code=info.code, locator=info.locator)

    def results(
        self, *, progress: bool | None = None, timeout_s: float | None = None
    ) -> Mapping[str, Output]:
        """Wait until the job has ended well, and return its outputs."""
        return self.wait(progress=progress, timeout_s=timeout_s).outputs

    def __getitem__(self, name: str) -> Output:
        """Return an output by its name; raises as ``outputs``, and KeyError."""
        outputs = self.outputs
        if name not in outputs:
            raise KeyError(f"job {self.id} has no output {name!r} (outputs: {', '.join(outputs)})")
        return outputs[name]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._info.outputs)

    @property
    def outputs(self) -> Mapping[str, Output]:
        """The outputs by name, without the links to layers; asks unless the job has ended.

        Raises
        ------
        JobFailedError, JobDismissedError
            If there are none and will be none.
        NotFoundError
            If there are none yet.
        """
        return {
            name: Output.of(name, value, self._transport)
            for name, value in self._succeeded_info().outputs.items()
            if value.media_type not in LAYER_TYPES
        }

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The layers by the output that they show; raises as ``outputs``."""
        links = {
            name: value.href
            for name, value in self._succeeded_info().outputs.items()
            if value.media_type in LAYER_TYPES and value.href
        }
        names = [name.removesuffix("_wms") for name in links if name.endswith("_wms")]
        return {
            name: Layer(
                name,
                links[f"{name}_wms"],
                links.get(f"{name}_wcs", ""),
                self._transport,
                wfs=links.get(f"{name}_wfs", ""),
            )
            for name in names
        }

    def _succeeded_info(self) -> JobInfo:
        info = self.refresh()
        if not info.status.is_final:
            raise NotFoundError(f"job {self.id} has no outputs yet: it is {info.status}")
        if info.status is not Status.SUCCEEDED:
            self._raise()
        return info

    def log(self) -> str:
        """Return the end of the worker's log."""
        with self._transport.get(f"{self._json().address}/log") as answer:
            return answer.content.decode("utf-8", errors="replace")

    def dismiss(self) -> None:
        """End the job if it runs, and remove its outputs and layers."""
        self._info = info_from_json(self._transport.json(self._json().address, "DELETE"))

    def cancel(self) -> None:
        """End the job if it has not ended; unlike ``dismiss``, leave a finished one alone."""
        if not self.refresh().status.is_final:
            self.dismiss()

    def _json(self) -> JsonSource:
        if not isinstance(self._source, JsonSource):
            raise NotOfferedError(f"{self._transport.base} offers no more than the state of a job")
        return self._source


class JobList(list[Job]):
    """Jobs; shown as a table."""

    def __repr__(self) -> str:
        return text_table(self.table())

    def _repr_html_(self) -> str:
        return html_table(self.table())

    def table(self) -> Table:
        """Return the jobs as a table."""
        heads = ("job", "title", "process", "status", "created", "duration")
        rows = [
            (
                row["job"],
                row["title"],
                row["process"],
                row["status"],
                f"{row['created'].astimezone():%Y-%m-%d %H:%M}" if row["created"] else "",
                f"{row['duration'].total_seconds():.0f} s" if row["duration"] else "",
            )
            for row in self.rows()
        ]
        return Table("Jobs", heads, rows)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each job, of the last answer."""
        return [
            {
                "job": job.id,
                "title": job.title,
                "process": job.process,
                "status": str(job.info.status),
                "percent": job.percent,
                "message": job.message,
                "created": job.created,
                "started": job.info.started,
                "finished": job.info.finished,
                "duration": job.duration,
            }
            for job in self
        ]

    def to_dataframe(self) -> Any:  # noqa: ANN401 - pandas's own
        """Return them as a pandas DataFrame.

        Raises
        ------
        MissingPackageError
            If pandas is not installed.
        """
        return frame_of(self.rows())


def _shown(bar: Bar) -> Callable[[JobInfo], None]:
    return bar.show
