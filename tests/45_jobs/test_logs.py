"""What users see of a log."""

from candela.jobs.logs import TAIL_LENGTH, TAIL_LINES, public_log, tail, without_folders

TIME = "2026-11-21 08:00:00,123"
LOG = f"""\
{TIME} INFO [Echo 7] __main__: Attempt 1 of Echo 1.0.0
{TIME} INFO [Echo 7] candela.worker.references: Took jobs/3/outputs/a.tif from storage
{TIME} WARNING [Echo 7] candela.contract.addresses: Refused to fetch from inner.host (10.1.2.3)
{TIME} WARNING [Echo 7] candela.contract.documents: cannot write jobs/7/result.json: http://minio:9000/b
{TIME} ERROR [Echo 7] candela.worker.job: The job failed: internal error
Traceback (most recent call last):
  File "/opt/candela/worker/job.py", line 9, in run
    secret = "x"
OSError: [Errno 5] broken: '/data/work/7-1/tmp/a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/x.py", line 1
ValueError: two
lines
{TIME} INFO [Echo 7] __main__: Attempt 1 failed: 0.1 s, 0.1 s of CPU, 97.0 MB of memory
Attempt 1 has ended: lost, killed from outside, or ended unseen
{TIME} CRITICAL [Echo 7] __main__: cannot read jobs/7/job.json: /data/storage/x
"""


def test_a_user_sees_what_the_job_did_and_not_what_it_stands_on():
    assert (
        public_log(LOG)
        == f"""\
{TIME} INFO [Echo 7] __main__: Attempt 1 of Echo 1.0.0
{TIME} INFO [Echo 7] candela.worker.references: Took jobs/3/outputs/a.tif from storage
{TIME} WARNING [Echo 7] candela.contract.addresses: (for the operator)
{TIME} WARNING [Echo 7] candela.contract.documents: (for the operator)
{TIME} ERROR [Echo 7] candela.worker.job: The job failed: internal error
(for the operator)
{TIME} INFO [Echo 7] __main__: Attempt 1 failed: 0.1 s, 0.1 s of CPU, 97.0 MB of memory
Attempt 1 has ended: lost, killed from outside, or ended unseen
{TIME} CRITICAL [Echo 7] __main__: (for the operator)
"""
    )


def test_what_a_process_prints_is_shown_without_folders_and_inner_addresses():
    printed = (
        "warning: /data/work/7-1/inputs/product/1/S2A.SAFE/x.jp2 is odd\n"
        "asked 192.168.1.7:8080 and 8.8.8.8, version 1.2.3.4\n"
        "from https://user:secret@host.org/a/b.tif and 3/4 of it\n"
        "from https://host.org/a.tif?sig=secret, (s3://b/a.tif#secret) and what?\n"
    )
    assert public_log(printed) == (
        "warning: .../x.jp2 is odd\n"
        "asked (address) and 8.8.8.8, version 1.2.3.4\n"
        "from https://host.org/a/b.tif and 3/4 of it\n"
        "from https://host.org/a.tif (s3://b/a.tif and what?\n"
    )


def test_the_tail_is_short():
    text = "".join(f"line {number}\n" for number in range(1000))
    assert tail(text).splitlines() == [f"line {number}" for number in range(980, 1000)]
    assert len(tail("x" * 100_000)) == TAIL_LENGTH
    assert tail("") == ""
    assert TAIL_LINES == 20


def test_messages_of_libraries_are_told_without_folders():
    told = without_folders("'/data/work/7-1/inputs/a.tif' not recognized, from file:///open/a.tif")
    assert told == "'.../a.tif' not recognized, from file:///open/a.tif"
