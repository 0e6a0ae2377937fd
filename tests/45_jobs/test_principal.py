"""The service shows to an owner what is theirs, and nothing else."""

import pytest

from candela.contract.job import OutputFile, Reference, ResultDocument
from candela.errors import InvalidValueError, NotFoundError
from candela.jobs.listing import JobQuery
from candela.jobs.model import State
from candela.jobs.principal import ANONYMOUS, SYSTEM, Principal, Role
from candela.jobs.request import ExecuteRequest

ANN, BOB = Principal("ann"), Principal("bob")
OPERATOR = Principal("root", Role.OPERATOR)
BASE = "http://candela.test"


@pytest.fixture
def service(engine):
    """Return a service that knows its address; nothing is dispatched."""
    service = engine().service
    object.__setattr__(service, "base_url", BASE)
    return service


def submitted(service, principal, **inputs):
    return service.submit(principal, "Echo", ExecuteRequest(inputs=inputs)).id


def succeeded(service, principal):
    """Return a job that has ended with a file."""
    job_id, move = submitted(service, principal), service.store.move
    made = OutputFile(file="a.xml", media_type="text/xml", size=4, sha256="0")
    result = ResultDocument(job=job_id, status="succeeded", outputs={"complexOutput": made})
    move(job_id, [State.ACCEPTED], State.DISPATCHING)
    move(job_id, [State.DISPATCHING], State.RUNNING)
    move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    move(job_id, [State.PUBLISHING], State.SUCCEEDED)
    return job_id


DOORS = {
    "get": lambda service, who, job: service.get(who, job),
    "outcome": lambda service, who, job: service.outcome(who, job),
    "summary": lambda service, who, job: service.summary(who, job),
    "wait": lambda service, who, job: service.wait(who, job, 0.01),
    "events": lambda service, who, job: service.events(who, job),
    "log": lambda service, who, job: service.log_tail(who, job),
    "output": lambda service, who, job: service.output(who, job, "a.xml"),
    "report": lambda service, who, job: service.report(who, job, 1, "") or True,
    "dismiss": lambda service, who, job: service.dismiss(who, job),
}


def test_no_door_tells_a_job_of_somebody_else_from_one_that_is_not_there(service):
    job_id = succeeded(service, ANN)
    for name, door in DOORS.items():
        for principal in (BOB, ANONYMOUS):
            told = []
            for asked in (job_id, "no-job"):
                with pytest.raises(NotFoundError) as caught:
                    door(service, principal, asked)
                told.append((caught.value.message.replace(asked, "-"), caught.value.locator))
            assert told[0] == told[1], name
    for principal in (ANN, OPERATOR):
        mine = succeeded(service, ANN)
        for door in DOORS.values():
            door(service, principal, mine)


def test_a_job_says_whether_an_operator_has_dismissed_it(service):
    for who, told in ((ANN, "dismissed by the user"), (OPERATOR, "dismissed by an operator")):
        job_id = submitted(service, ANN)
        service.dismiss(who, job_id)
        assert service.get(ANN, job_id).message == told


def test_owners_list_and_count_their_own(service):
    mine = {who: submitted(service, who) for who in (ANN, BOB, ANONYMOUS)}
    for who, job_id in mine.items():
        assert [job.id for job in service.page(who, JobQuery()).jobs] == [job_id]
        assert [job.id for job in service.newest(who, 9)] == [job_id]
        assert service.count(who) == 1
    assert service.count(OPERATOR) == service.count(SYSTEM) == 3
    assert {job.id for job in service.page(OPERATOR, JobQuery()).jobs} == set(mine.values())


def test_owners_see_what_they_have_used_themselves(service):
    succeeded(service, ANN), succeeded(service, BOB)
    assert [used.owner for used in service.consumption(ANN)] == ["ann"]
    assert [used.owner for used in service.consumption(OPERATOR)] == ["ann", "bob"]
    assert service.consumption(ANONYMOUS) == []


def test_the_same_key_of_two_owners_is_two_jobs(service):
    request = ExecuteRequest()
    first, again, other = (
        service.submit(who, "Echo", request, idempotency_key="k").id for who in (ANN, ANN, BOB)
    )
    assert first == again != other


@pytest.mark.parametrize("hidden", ["{id}", "%{first:02x}{rest}"])
def test_inputs_are_outputs_of_ones_own_jobs(service, hidden):
    job_id = succeeded(service, ANN)
    part = hidden.format(id=job_id, first=ord(job_id[0]), rest=job_id[1:])

    def use(who, part, **more):
        href = f"{BASE}/outputs/{part}/a.xml"
        return submitted(service, who, complex=[Reference(href=href, **more)])

    for who in (ANN, OPERATOR):
        assert use(who, part)
    for who in (BOB, ANONYMOUS):
        told = []
        for asked in (part, "no-job"):
            with pytest.raises(InvalidValueError) as caught:
                use(who, asked)
            assert caught.value.locator == "complex"
            told.append(caught.value.message.replace(asked, "-"))
        assert told[0] == told[1]
    assert service.count(BOB) == service.count(ANONYMOUS) == 0


def test_a_body_is_an_output_of_ones_own_job_too(service):
    job_id = succeeded(service, ANN)
    body = Reference(
        href="http://example.org/x",
        method="POST",
        body_reference=f"{BASE}/outputs/{job_id}/a.xml",
    )
    assert submitted(service, ANN, complex=[body])
    with pytest.raises(InvalidValueError, match="there is no output"):
        submitted(service, BOB, complex=[body])
