"""A job expires while somebody reads its result."""

from candela.contract.job import Inline
from candela.jobs.principal import SYSTEM
from candela.jobs.request import ExecuteRequest

TEXT = f"<a>{'x' * 3_000_000}</a>"


def test_who_reads_a_result_gets_all_of_it_although_its_job_expires(drill):
    drill = drill()
    value = Inline(value=TEXT, media_type="text/xml")
    job = drill.gateway.jobs.submit(SYSTEM, "Echo", ExecuteRequest(inputs={"complex": [value]}))
    drill.finished(job.id)
    address = f"/outputs/{job.id}/complexOutput.xml"
    with drill.http.get(address, buffered=False) as answer:
        pieces = answer.iter_encoded()
        read = [next(pieces)]
        drill.gateway.jobs.dismiss(SYSTEM, job.id)
        assert b"".join([*read, *pieces]) == TEXT.encode()
    assert drill.http.get(address).status_code == 410
