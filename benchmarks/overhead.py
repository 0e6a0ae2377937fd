"""What a job costs beside its run: from Execute to its end, with a worker that does nothing.

    python benchmarks/overhead.py [--jobs 200] [--database postgresql+psycopg://...]

One job after the other, over HTTP, asynchronously. "accept" is the answer to Execute, "start" is
from there to the worker's first line (the start of a bare Python included), "finish" is from the
worker's end to a status that says so. "overhead" is accept and finish together.
"""

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path

from gateway import ASYNC, EXECUTE, connect, free_port
from werkzeug.serving import make_server

from candela.gateway import app
from candela.jobs.model import Job
from candela.runners.local import LocalRunner
from candela.settings import Settings
from candela.storage.base import Storage

INSTANT = (sys.executable, "-I", "-S", str(Path(__file__).with_name("_instant_worker.py")))
POLL_S = 0.001


def instant_runner(settings: Settings, storage: Storage, _specs: object) -> LocalRunner:
    """Return a runner whose workers do nothing."""
    return LocalRunner(storage, settings.folder / "work", command=INSTANT)


def spread(times: list[float]) -> dict[str, float]:
    """Return median and 95th percentile, in ms."""
    ordered = sorted(1000 * time for time in times)
    return {
        "p50_ms": round(ordered[len(ordered) // 2], 1),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
    }


def measure(settings: Settings, jobs: int) -> dict[str, dict[str, float]]:
    """Run jobs one after the other; return what they cost."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.make_runner = instant_runner
    gateway = app.Gateway.assemble(settings)
    gateway.start()
    port = int(settings.base_url.rpartition(":")[2])
    server = make_server("127.0.0.1", port, gateway.application(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    times: dict[str, list[float]] = {"accept": [], "start": [], "finish": [], "overhead": []}
    try:
        connection = connect(settings.base_url)
        for _ in range(jobs):
            before = time.time()
            connection.request(
                "GET", EXECUTE.format(echo="Echo").partition("&DataInputs")[0] + ASYNC
            )
            answer = connection.getresponse().read().decode()
            accepted = time.time()
            job = wait(gateway, answer.partition("/wps/status/")[2][:36])
            seen = time.time()
            began, ended = json.loads(str(job.result.outputs["literalOutput"].value))
            times["accept"].append(accepted - before)
            times["start"].append(began - accepted)
            times["finish"].append(seen - ended)
            times["overhead"].append(accepted - before + seen - ended)
    finally:
        server.shutdown()
        thread.join()
        gateway.stop()
    return {name: spread(values) for name, values in times.items()}


def wait(gateway: app.Gateway, job_id: str) -> Job:
    while not (job := gateway.jobs.store.get(job_id)).state.is_final:
        time.sleep(POLL_S)
    return job


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--database", default="", help="SQLAlchemy URL (default: SQLite)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            url=f"http://127.0.0.1:{free_port()}",
            data=Path(folder),
            database=options.database,
            grace_s=0,
        )
        print(json.dumps(measure(settings, options.jobs), indent=2))


if __name__ == "__main__":
    main()
