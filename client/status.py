"""The status of a job, read from CANDELA's JSON or from the status document of any WPS 1.0.0."""

import datetime as dt
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from candela.client.errors import ServerAnswerError


class Status(StrEnum):
    """The status of a job."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISMISSED = "dismissed"

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self in {Status.SUCCEEDED, Status.FAILED, Status.DISMISSED}


STATUS_CODES = {
    "accepted": Status.ACCEPTED,
    "running": Status.RUNNING,
    "successful": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "dismissed": Status.DISMISSED,
}  # OGC 18-062r2, 7.12
WPS_STATES = {
    "ProcessAccepted": Status.ACCEPTED,
    "ProcessStarted": Status.RUNNING,
    "ProcessPaused": Status.RUNNING,
    "ProcessSucceeded": Status.SUCCEEDED,
    "ProcessFailed": Status.FAILED,
    "Exception": Status.FAILED,
}  # OGC 05-007r7, 10.3; the last one is what OWSLib makes of an exception report


@dataclass(frozen=True)
class OutputValue:
    """An output in a status document: an address, or a value."""

    media_type: str = ""
    href: str | None = None
    value: object = None
    size: int | None = None  # bytes


@dataclass(frozen=True)
class JobInfo:
    """The status document of a job.

    Attributes
    ----------
    percent : int
        0..100.
    code, locator : str
        Of a failed job: the exception code, and the input to blame.
    title : str
        The name that the user gave it.
    inputs : mapping
        Lists of values by name, without contents; empty if the server does not list them.
    """

    id: str
    process: str
    status: Status
    percent: int = 0
    message: str = ""
    code: str = ""
    locator: str = ""
    created: dt.datetime | None = None
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    outputs: Mapping[str, OutputValue] = field(default_factory=dict)
    title: str = ""
    inputs: Mapping[str, object] = field(default_factory=dict)

    @property
    def duration(self) -> dt.timedelta | None:
        """How long the job has run, so far or altogether; None before its start."""
        if self.started is None:
            return None
        return (self.finished or dt.datetime.now(dt.UTC)) - self.started


def info_from_json(document: Any) -> JobInfo:  # noqa: ANN401 - JSON
    """Read a statusInfo document.

    Raises
    ------
    ServerAnswerError
        If it is none.
    """
    try:
        exception = document.get("exception") or {}
        return JobInfo(
            id=document["jobID"],
            process=document.get("processID", ""),
            status=STATUS_CODES[document["status"]],
            percent=int(document.get("progress", 0)),
            message=document.get("message", ""),
            code=exception.get("code", ""),
            locator=exception.get("locator", ""),
            created=_time(document.get("created")),
            started=_time(document.get("started")),
            finished=_time(document.get("finished")),
            outputs={
                name: _output_from_json(value)
                for name, value in (document.get("outputs") or {}).items()
            },
            title=document.get("title", ""),
            inputs=document.get("inputs") or {},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ServerAnswerError(f"the server answers with no statusInfo: {error!r}") from error


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _output_from_json(value: Any) -> OutputValue:  # noqa: ANN401
    if isinstance(value, dict) and "href" in value:
        return OutputValue(value.get("type", ""), value["href"], None, value.get("length"))
    return OutputValue(value=value)


def output_of_results(value: Any) -> OutputValue:  # noqa: ANN401
    """Read an output of a results document: a value, a qualified value or a link."""
    if not isinstance(value, dict) or "value" not in value or "href" in value:
        return _output_from_json(value)
    content = value["value"]
    if value.get("encoding") == "base64" and isinstance(content, str):
        try:
            content = b64decode(content)
        except ValueError as error:
            raise ServerAnswerError(f"an output is no base64: {error}") from None
    return OutputValue(value.get("mediaType", ""), value=content)


def info_from_execution(execution: Any, job_id: str) -> JobInfo:  # noqa: ANN401 - no types
    """Read what OWSLib understood of an ExecuteResponse.

    Raises
    ------
    ServerAnswerError
        If it was none.
    """
    status = WPS_STATES.get(execution.status)
    if status is None:
        raise ServerAnswerError(f"the server answers with the unknown status {execution.status!r}")
    error = execution.errors[0] if execution.errors else None
    return JobInfo(
        id=job_id,
        process=execution.process.identifier if execution.process else "",
        status=status,
        percent=int(execution.percentCompleted or 0),
        message=((error.text if error else execution.statusMessage) or "").strip(),
        code=(error.code if error else "") or "",
        locator=(error.locator if error else "") or "",
        outputs={
            output.identifier: _output_from_xml(output) for output in execution.processOutputs
        },
    )


def _output_from_xml(output: Any) -> OutputValue:  # noqa: ANN401
    if output.reference is not None:
        return OutputValue(output.mimeType or "", output.reference)
    parts = [part.decode() if isinstance(part, bytes) else part for part in output.data]
    value = parts[0] if len(parts) == 1 else "".join(str(part) for part in parts)
    return OutputValue(output.mimeType or "", value=value)
