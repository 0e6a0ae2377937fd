"""Whether a gateway stays quick and small while clients are slow, many and large.

    python benchmarks/front.py [--connections 1000] [--seconds 20] [--bodies 10] [--megabytes 49]

Slow connections are of four kinds, as many of each: silent, a byte of a header every second, a
byte of a body every second, readers of a large result who read 8 KiB a second. Those that the
gateway closes connect again. Meanwhile two clients ask for GetCapabilities on kept-alive
connections, as fast as they can, then one 50 times a second; beside the same without slow ones.

Then bodies are sent at the same time, asynchronous Executes of Echo with inline XML; the memory
(resident) of the gateway's process is read every 20 ms, without its workers.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import requests
from gateway import CAPABILITIES, measure

from candela.demo.gateway import LocalGateway

DOCUMENT = """<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0"
 xmlns:ows="http://www.opengis.net/ows/1.1" service="WPS" version="1.0.0">
<ows:Identifier>Echo</ows:Identifier><wps:DataInputs><wps:Input>
<ows:Identifier>complex</ows:Identifier><wps:Data><wps:ComplexData mimeType="text/xml"><all>{}</all>
</wps:ComplexData></wps:Data></wps:Input></wps:DataInputs>
<wps:ResponseForm><wps:ResponseDocument storeExecuteResponse="true" status="true"/>
</wps:ResponseForm></wps:Execute>"""
ECHO = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs=complex="
)
KINDS = {
    "silent": b"",
    "header": b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "body": b"POST /wps HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
    "reader": b"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def slow_client(host, port, kind, path, counts):
    """Be slow, for ever."""
    first = KINDS[kind].replace(b"{path}", path.encode())
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(host, port, limit=8192)
            counts[kind] += 1
            try:
                writer.write(first)
                while not reader.at_eof():
                    if kind in {"header", "body"}:
                        writer.write(b"x")
                        await writer.drain()
                    elif kind == "reader":
                        await reader.read(8192)
                    await asyncio.sleep(1)
            finally:
                writer.close()
                counts["closed"] += 1
        await asyncio.sleep(0.1)


def slow_clients(host, port, count, path, report):
    """Run slow clients in a process of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count)), hard))
    counts = dict.fromkeys([*KINDS, "closed"], 0)

    async def run():
        kinds = list(KINDS)
        tasks = [
            asyncio.create_task(slow_client(host, port, kinds[number % len(kinds)], path, counts))
            for number in range(count)
        ]
        while True:
            await asyncio.sleep(1)
            report.put(counts.copy())
            assert tasks

    asyncio.run(run())


def execute(gateway, size):
    """Submit a job whose input has some size; return the status and the text of the answer."""
    node = "<a>{}</a>".format("y" * (7 * 10**6))  # libxml2 takes no text above 10 MB
    answer = requests.post(
        f"{gateway.url}/wps",
        data=DOCUMENT.format(node * (size // len(node))).encode(),
        headers={"Content-Type": "text/xml"},
        timeout=300,
    )
    return answer.status_code, answer.text


def large_result(gateway, folder):
    """Return the path of a result of 22 MB."""
    path = folder / "large.xml"
    path.write_text(f"<all>{('<a>' + 'y' * 10**6 + '</a>') * 22}</all>")
    href = quote(path.as_uri(), safe="")
    said = requests.get(f"{gateway.url}{ECHO}@xlink:href={href}", timeout=60).text
    job = said.partition("/wps/status/")[2][:36]
    while True:
        info = requests.get(f"{gateway.url}/jobs/{job}", timeout=60).json()
        if info["status"] in {"successful", "failed"}:
            break
        time.sleep(0.2)
    (path,) = (
        urlsplit(output["href"]).path
        for output in info["outputs"].values()
        if isinstance(output, dict) and "href" in output
    )
    return path


def slow(gateway, folder, options):
    """Measure GetCapabilities without and with slow connections."""
    path = large_result(gateway, folder)
    load = {"seconds": options.seconds, "clients": 2}
    alone = measure(gateway.url, CAPABILITIES, **load)
    address = urlsplit(gateway.url)
    report = multiprocessing.Queue()
    process = multiprocessing.Process(
        target=slow_clients,
        args=(address.hostname, address.port, options.connections, path, report),
        daemon=True,
    )
    process.start()
    try:
        time.sleep(5)
        slowed = measure(gateway.url, CAPABILITIES, **load)
        steady = measure_at(gateway.url, options.seconds)
        while not report.empty():
            counts = report.get()
    finally:
        process.kill()
        process.join()
    return {"alone": alone, "with slow connections": slowed, "50/s": steady, "connections": counts}


def measure_at(url, seconds, rate=50):
    """Ask at a fixed rate; return latencies."""
    times = []
    with requests.Session() as session:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            assert session.get(url + CAPABILITIES, timeout=60).status_code == 200
            times.append(time.perf_counter() - begun)
            time.sleep(max(0.0, 1 / rate - times[-1]))
    ordered = sorted(times)
    return {
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p95_ms": round(1000 * ordered[int(0.95 * (len(ordered) - 1))], 2),
        "longest_ms": round(1000 * ordered[-1], 2),
    }


def large(gateway, options):
    """Send bodies at the same time; return the memory of the gateway before and at its peak."""
    (server,) = gateway._servers(gateway.process)
    before = server.memory_info().rss
    peak, done, statuses = [before], threading.Event(), []

    def watch():
        while not done.wait(0.02):
            peak.append(psutil.Process(server.pid).memory_info().rss)

    def send():
        statuses.append(execute(gateway, options.megabytes * 10**6 + 1000)[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    senders = [threading.Thread(target=send) for _ in range(options.bodies)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took_s = time.monotonic() - begun
    done.set()
    watcher.join()
    return {
        "statuses": sorted(statuses),
        "took_s": round(took_s, 1),
        "before_mib": before // 2**20,
        "peak_mib": max(peak) // 2**20,
        "after_mib": server.memory_info().rss // 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1000, help="slow ones")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--bodies", type=int, default=10, help="at the same time")
    parser.add_argument("--megabytes", type=int, default=49, help="of each body")
    parser.add_argument("--only", choices=["slow", "large"], help="one of the two parts")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    options = parser.parse_args()
    if options.quick:
        options.connections, options.seconds, options.bodies = 200, 3, 3
    results = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        inputs.mkdir()
        if options.only != "large":
            with LocalGateway(Path(folder) / "slow", input_folders=[inputs]) as gateway:
                results["slow"] = slow(gateway, inputs, options)
        if options.only != "slow":
            with LocalGateway(Path(folder) / "large") as gateway:
                results["large"] = large(gateway, options)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
