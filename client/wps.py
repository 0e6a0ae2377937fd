"""WPS 1.0.0 of any server: OWSLib writes and reads the documents, our transport carries them."""

from collections.abc import Mapping, Sequence
from typing import Any

from owslib.etree import etree
from owslib.util import build_get_url
from owslib.wps import ASYNC, WebProcessingService, WPSExecution

from candela.client.errors import NotFoundError
from candela.client.problems import refuse_report
from candela.client.transport import Transport

VERSION = "1.0.0"


class ProcessingService:
    """A WPS.

    Parameters
    ----------
    transport : Transport
    endpoint : str
        The address of the service.
    """

    def __init__(self, transport: Transport, endpoint: str) -> None:
        self.transport = transport
        self.endpoint = endpoint

    def processes(self) -> list[Any]:
        """Ask for the processes (GetCapabilities), as OWSLib's ``Process``."""
        service = self._reader()
        service.getcapabilities(xml=self._ask("GetCapabilities"))
        return list(service.processes)

    def process(self, identifier: str) -> Any:  # noqa: ANN401 - OWSLib has no types
        """Ask for the description of a process (DescribeProcess), as OWSLib's ``Process``.

        Raises
        ------
        RequestRefusedError, NotFoundError
            If there is no such process.
        """
        document = self._ask("DescribeProcess", version=VERSION, identifier=identifier)
        try:
            return self._reader().describeprocess(identifier, xml=document)
        except ValueError:
            raise NotFoundError(
                f"{self.transport.base} does not describe a process {identifier!r}"
            ) from None

    def execute(
        self, identifier: str, inputs: Sequence[tuple[str, Any]], headers: Mapping[str, str]
    ) -> WPSExecution:
        """Start a job (Execute, asynchronous).

        Raises
        ------
        RequestRefusedError
            If the server does not accept the request.
        """
        execution = WPSExecution(version=VERSION)
        request = execution.buildRequest(identifier, list(inputs), [], mode=ASYNC)
        content = etree.tostring(request)
        answer = self.transport.xml(
            self.endpoint, "POST", data=content, headers={"Content-Type": "text/xml", **headers}
        )
        refuse_report(answer)
        execution.parseResponse(answer)
        return execution

    def status(self, location: str) -> WPSExecution:
        """Ask for the status document of a job.

        NOTE: not by OWSLib's ``checkStatus``, which does not pause when a request fails.
        """
        execution = WPSExecution()
        execution.parseResponse(self.transport.xml(location))
        return execution

    def _ask(self, request: str, **parameters: str) -> bytes:
        query = {"service": "WPS", "request": request, **parameters}
        root = self.transport.xml(build_get_url(self.endpoint, query, overwrite=True))
        refuse_report(root)
        document: bytes = etree.tostring(root)
        return document

    def _reader(self) -> Any:  # noqa: ANN401
        return WebProcessingService(self.endpoint, skip_caps=True)
