"""What subscribers are told of a job: its results when it has succeeded, else its status."""

import json
from collections.abc import Callable

from candela.errors import NoSuchProcessError
from candela.gateway.protocols.ogcapi.result_documents import Results
from candela.gateway.protocols.ogcapi.status import status_info
from candela.gateway.results import Addresses, outputs_of
from candela.jobs.model import Job, State
from candela.jobs.service import JobService


def news_of(jobs: JobService, addresses: Addresses) -> Callable[[Job], bytes]:
    """Return the function that writes the body of a callback (OGC 18-062r2, 7.14)."""

    def written(job: Job) -> bytes:
        try:
            spec = jobs.spec(job)
        except NoSuchProcessError:
            spec = None
        if job.state is not State.SUCCEEDED:
            return json.dumps(status_info(job, spec, addresses), ensure_ascii=False).encode()
        outputs = outputs_of(job, spec, addresses)
        document = job.request.model_copy(update={"response": "document"})
        return Results(job, document, outputs, jobs.storage, addresses).response().get_data()

    return written
