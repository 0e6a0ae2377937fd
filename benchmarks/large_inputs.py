"""What large inline inputs cost a gateway: memory, and the time to list their jobs.

    python benchmarks/large_inputs.py [--huge 16] [--queued 1000] [--kilobytes 1000]

Some jobs are sent with 49 MB of XML each, one after the other, then many with less; none starts.
Then lists and the landing page are asked for, by one client and by four at once.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil
from gateway import connect, served_folder
from job_list import measure

HUGE_BYTES = 49_000_000
AT_ONCE = 4
REQUESTS = 20
HEAD = (
    '<wps:Execute service="WPS" version="1.0.0" xmlns:wps="http://www.opengis.net/wps/1.0.0" '
    'xmlns:ows="http://www.opengis.net/ows/1.1"><ows:Identifier>Echo</ows:Identifier>'
    "<wps:DataInputs><wps:Input><ows:Identifier>complex</ows:Identifier><wps:Data>"
    '<wps:ComplexData mimeType="text/xml"><a>'
)
TAIL = (
    "</a></wps:ComplexData></wps:Data></wps:Input></wps:DataInputs><wps:ResponseForm>"
    '<wps:ResponseDocument storeExecuteResponse="true" status="true"/></wps:ResponseForm>'
    "</wps:Execute>"
)


def body(size: int) -> bytes:
    """Return a request whose input has elements of 4 kB each."""
    element = f"<b>{'x' * 4089}</b>"
    return (HEAD + element * (size // len(element)) + TAIL).encode()


def send(url: str, content: bytes) -> float:
    """Send an Execute and return how long its answer took, in seconds."""
    connection = connect(url)
    start = time.perf_counter()
    connection.request("POST", "/wps", content, {"Content-Type": "text/xml"})
    answer = connection.getresponse()
    told = answer.read()
    if answer.status != 200 or b"ProcessAccepted" not in told:
        raise SystemExit(f"not accepted: {told[-300:]!r}")
    return time.perf_counter() - start


class Memory:
    """The resident memory of a server and its children, looked at every 20 ms."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def now(self) -> float:
        """Return it in MiB; pages that parent and child share count once."""
        children = self._process.children(recursive=True)
        return round(max(each.memory_info().rss for each in [self._process, *children]) / 2**20, 1)

    def peak(self) -> float:
        """Return the most there was since the last call, in MiB."""
        peak, self._peak = self._peak, 0.0
        return peak

    def _watch(self) -> None:
        while self._process.is_running():
            try:
                self._peak = max(self._peak, self.now())
            except psutil.Error:
                return
            time.sleep(0.02)


def at_once(url: str, path: str) -> dict[str, float]:
    """Let several clients ask for the same; return the latencies of one of them."""
    others = [
        threading.Thread(target=measure, args=(url, [path] * REQUESTS)) for _ in range(AT_ONCE - 1)
    ]
    for other in others:
        other.start()
    found = measure(url, [path] * REQUESTS)
    for other in others:
        other.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--huge", type=int, default=16)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served_folder("candela", folder) as (url, pid):
        memory = Memory(pid)
        results: dict[str, object] = {"load": os.getloadavg()[0], "memory_mib": memory.now()}
        content = body(HUGE_BYTES)
        times = [send(url, content) for _ in range(options.huge)]
        results["49 MB each"] = {
            "jobs": options.huge,
            "mean_s": round(sum(times) / len(times), 2),
            "peak_mib": memory.peak(),
            "afterwards_mib": memory.now(),
        }
        content = body(1000 * options.kilobytes)
        times = [send(url, content) for _ in range(options.queued)]
        results[f"{options.kilobytes} kB each"] = {
            "jobs": options.queued,
            "mean_s": round(sum(times) / len(times), 3),
            "peak_mib": memory.peak(),
            "afterwards_mib": memory.now(),
        }
        for path in ("/jobs", "/jobs?limit=1000", "/", "/metrics"):
            results[path] = {
                "one": measure(url, [path] * REQUESTS),
                f"{AT_ONCE} at once": at_once(url, path),
                "peak_mib": memory.peak(),
            }
        results["database_mib"] = round(
            sum(path.stat().st_size for path in Path(folder).glob("candela.db*")) / 2**20, 1
        )
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
