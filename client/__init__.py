"""The client of CANDELA: run processes on a server from Python.

It needs OWSLib, requests and rich; rasterio and rioxarray only to open results.
"""

from candela.client.client import Client
from candela.client.descriptions import ProcessDescription, ProcessList
from candela.client.errors import (
    AccessDeniedError,
    ClientError,
    InputValueError,
    JobDismissedError,
    JobFailedError,
    MissingPackageError,
    NotFoundError,
    NotOfferedError,
    OutputFormError,
    ProcessError,
    RequestRefusedError,
    ServerAnswerError,
    ServerUnreachableError,
    WaitTimeoutError,
)
from candela.client.inputs import Content, Reference
from candela.client.job import Job, JobList
from candela.client.layers import Layer
from candela.client.outputs import Output
from candela.client.patches import Features, Patches, Rows
from candela.client.pipeline import detect_changes
from candela.client.series import Change, ChangeSeries
from candela.client.status import Status

__all__ = [
    "AccessDeniedError",
    "Change",
    "ChangeSeries",
    "Client",
    "ClientError",
    "Content",
    "Features",
    "InputValueError",
    "Job",
    "JobDismissedError",
    "JobFailedError",
    "JobList",
    "Layer",
    "MissingPackageError",
    "NotFoundError",
    "NotOfferedError",
    "Output",
    "OutputFormError",
    "Patches",
    "ProcessDescription",
    "ProcessError",
    "ProcessList",
    "Reference",
    "RequestRefusedError",
    "Rows",
    "ServerAnswerError",
    "ServerUnreachableError",
    "Status",
    "WaitTimeoutError",
    "detect_changes",
]
