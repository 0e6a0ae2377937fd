"""Random requests to all routes of a gateway: what breaks, hangs, dies or grows.

    python benchmarks/fuzz.py [--requests 100000] [--seed 1] [--clients 8]

The gateway is a real one, with its server, a map server with a layer, a database of patches and the
result of a job; it accepts jobs and starts none. Requests are made of the words of the protocols,
of damaged ones and of noise, and sent as bytes: queries, documents, forms, uploads, headers,
methods, chunks, bodies that break off. The same seed makes the same requests. It fails where an
answer is 5xx, takes longer than 10 s, a process died, or memory grew by more than 150 MiB.
"""

import argparse
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes

import psutil

from candela.demo.gateway import free_port

HANG_S = 10
GROWTH_MIB = 150
WARM = 1000  # requests before memory is looked at first
UNSUPPORTED = {501, 505}  # of HTTP itself: a transfer coding or a version that nobody has
EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true&lineage=true"
LAYER = "ChangeDetect_1_change"

METHODS = ["GET"] * 40 + ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "POST"]
PATHS = [
    "/", "/map", "/wps", "/wps/status/{job}", "/jobs", "/jobs/{job}", "/jobs/{job}/log",
    "/jobs/{job}/events", "/outputs/{job}/{file}", "/ows", "/ows", "/ows/{layer}/wms",
    "/ows/{layer}/wcs", "/ows/{layer}/wfs", "/layers.json", "/usage", "/metrics", "/healthz",
    "/readyz", "/assets/{file}", "/warm/{file}", "/patches", "/patches/products", "/patches/items",
    "/patches/items/{number}", "/patches/items/{number}/quicklook", "/patches/schemes/{file}",
    "/patches/statistics", "/patches/changes", "/patches/confusion", "/patches/feature-sets",
    "/{file}", "/geoserver/wps",
]  # fmt: skip
POSTED = [
    "/wps", "/wps", "/ows", "/ows/{layer}/wms", "/ows/{layer}/wcs", "/ows/{layer}/wfs",
    "/jobs/{job}/progress", "/patches/annotations", "/jobs/{job}",
]  # fmt: skip
KEYS = [
    "service", "request", "version", "identifier", "DataInputs", "ResponseDocument", "lineage",
    "RawDataOutput", "status", "storeExecuteResponse", "AcceptVersions", "language", "layers",
    "styles", "crs", "srs", "bbox", "width", "height", "format", "time", "query_layers", "i", "j",
    "x", "y", "info_format", "coverageid", "subset", "typenames", "filter", "count", "startindex",
    "outputformat", "propertyname", "sortby", "scalefactor", "map", "sld", "limit", "offset",
    "processID", "since", "until", "f", "product", "owner", "datetime", "like", "features",
    "label", "geometry", "size", "usable", "after", "before", "scheme", "truth", "compared",
    "source", "exceptions",
]  # fmt: skip
WORDS = [
    "WPS", "WMS", "WCS", "WFS", "Execute", "GetCapabilities", "DescribeProcess", "GetMap",
    "GetFeatureInfo", "GetLegendGraphic", "GetCoverage", "DescribeCoverage", "GetFeature", "1.0.0",
    "1.3.0", "1.1.1", "2.0.1", "2.0.0", "Echo", "all", LAYER, "EPSG:3857", "EPSG:4326", "true",
    "image/png", "image/tiff", "application/openlayers", "text/html", "0,0,1,1", "-180,-90,180,90",
    "256", "0", "-1", "1e309", "nan", "inf", "²", "٣", "9" * 50, "9" * 3000, "2020-01-01", "../..",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2020-01-01/2021-01-01", "garbage",
    "literal=x", "literal=me@home", "numbers=1;numbers=", "pause=x", "bbox=1,2,3,4",
    "bbox=nan,inf,1e400,0", "complex=<a/>", "complex=<?xml version='1.0' encoding='UTF-16'?><a/>",
    "complex=@xlink:href=http://[", "complex=@xlink:href=file:///etc/passwd@mimeType=text/xml",
    "a=b;;=@@;", "E(1000,2000)", "x(0,10)", "POINT(1 1)", '{"type":"Point","coordinates":[1,1]}',
    "<Filter><PropertyIsEqualTo/></Filter>", "corine", "corine:31", "model:s1", "csv", "geojson",
    "", " ", "\0", "\r\nX: y", "%", "%00", "\ud800", "é€😀", "'", '"', "--", ";", "{}", "[[[", "/",
    "<script>alert(1)</script>",
]  # fmt: skip
HEADERS = [
    "Accept", "Accept", "Authorization", "Range", "Range", "If-None-Match", "If-Range",
    "If-Modified-Since", "Prefer", "Origin", "Referer", "Idempotency-Key", "Content-Type",
    "Content-Encoding", "Accept-Encoding", "Sec-Fetch-Site", "X-Forwarded-User", "X-Forwarded-For",
    "X-Forwarded-Proto", "Cookie", "Upgrade", "X-Forwarded-Prefix", "Host", "Accept-Language",
]  # fmt: skip
VALUES = [
    "text/html", "*/*", "application/json", "text/xml", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b", "multipart/form-data", "bytes=0-", "bytes=5-2", "bytes=-1",
    "bytes=0-0,2-3", "bytes=" + "9" * 30 + "-", 'W/"x"', "*", "Bearer é", "Bearer x", "priority=3",
    "priority=" + "9" * 5000, "cross-site", "same-origin", "null", "https://evil.example", "gzip",
    "100-continue", "websocket", "/x", "k" * 300, "", "é", "\xff", ";;;===", "Thu, 01 Jan 1970",
]  # fmt: skip
NAMES = [
    "Execute", "GetCapabilities", "DescribeProcess", "DataInputs", "Input", "Data", "LiteralData",
    "ComplexData", "BoundingBoxData", "Reference", "ResponseForm", "Body", "ResponseDocument",
    "RawDataOutput", "Output", "GetFeature", "Query", "GetCoverage",
]  # fmt: skip
ATTRIBUTES = [
    "", 'status="true"', 'mimeType="text/xml"', 'encoding="base64"', 'xlink:href="http://h/x"',
]  # fmt: skip
TEXTS = ["", "1", "x", "&lt;", "&#9;", "<ows:Identifier>literal</ows:Identifier>"]
HEAD = (
    '<wps:Execute xmlns:wps="http://www.opengis.net/wps/1.0.0" service="WPS" version="1.0.0" '
    'xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink">'
    "<ows:Identifier>Echo</ows:Identifier>"
)


class Known(NamedTuple):
    """What there is at the gateway."""

    job: str
    file: str


class Maker:
    """Makes requests as bytes."""

    def __init__(self, seed: int, known: Known) -> None:
        self._random = random.Random(seed)
        self._known = known

    def request(self) -> bytes:
        """Return one request, its body included."""
        chance = self._random
        body, headers = self._body() if chance.random() < 0.4 else (b"", [])
        is_posted = bool(body) and chance.random() < 0.9
        method = "POST" if is_posted else chance.choice(METHODS)
        address = self._address(POSTED if is_posted else PATHS)
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 5))):
            headers.append((chance.choice(HEADERS), chance.choice(VALUES)))
        lines = [f"{method} {address} HTTP/1.1", "Host: candela", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body

    def _address(self, paths: list[str]) -> str:
        chance = self._random
        if chance.random() < 0.15:
            return EXECUTE + chance.choice((ASYNC, "")) + self._query("&", "DataInputs")
        job = chance.choice((*[self._known.job] * 4, "x", "%00", "..", "é", "0" * 36))
        files = (*[self._known.file] * 3, "%2e%2e%2f", "x" * 300, "live.js", "corine")
        path = chance.choice(paths).format(
            job=job,
            file=chance.choice(files),
            layer=chance.choice((*[LAYER] * 4, "x", "%00", "a%20b", "..")),
            number=chance.choice(("1", "0", "²", "9" * 19, "-1", "9" * 3000)),
        )
        return quote(path, safe="/%") + self._query("?")

    def _query(self, sign: str, first: str = "") -> str:
        count = self._random.choice((0, 1, 2, 4, 8))
        keys = [first] * bool(first) + [self._random.choice(KEYS) for _ in range(count)]
        if not keys:
            return ""
        pairs = (f"{key}={self._quoted(self._random.choice(WORDS))}" for key in keys)
        return (sign + "&".join(pairs))[:4000]

    def _quoted(self, word: str) -> str:
        if self._random.random() < 0.05:
            return quote_from_bytes(self._random.randbytes(8))
        return quote(word.encode("utf-8", "surrogatepass"), safe="")

    def _body(self) -> tuple[bytes, list[tuple[str, str]]]:
        kind = self._random.choice(
            ("xml", "xml", "noise", "json", "form", "upload", "deep", "bomb")
        )
        body = getattr(self, f"_{kind}")()
        types = {"json": "application/json", "deep": "application/json", "noise": "text/xml",
                 "form": "application/x-www-form-urlencoded", "bomb": "text/xml", "xml": "text/xml",
                 "upload": "multipart/form-data; boundary=b"}  # fmt: skip
        headers = [("Content-Type", types[kind])]
        draw = self._random.random()
        if draw < 0.75:
            headers.append(("Content-Length", str(len(body))))
        elif draw < 0.8:  # breaks off
            headers.append(("Content-Length", str(len(body) + 100)))
        elif draw < 0.83:
            headers.append(("Content-Length", self._random.choice(("-1", "x", "9" * 30, "1, 2"))))
        else:
            headers.append(("Transfer-Encoding", "chunked"))
            size = self._random.choice((f"{len(body):x}",) * 4 + ("zz", "-1", "f" * 20, ""))
            end = self._random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"", b"zz\r\n"))
            body = size.encode() + b"\r\n" + body + b"\r\n" + end
        return body, headers

    def _xml(self) -> bytes:
        inside = "".join(self._element(0) for _ in range(self._random.randint(0, 4)))
        text = f"{HEAD}{inside}</wps:Execute>"
        if self._random.random() < 0.2:
            encoding = self._random.choice(("UTF-16", "latin-99", "UTF-8", "UTF-7"))
            text = f'<?xml version="1.0" encoding="{encoding}"?>{text}'
        return self._damaged(text.encode("utf-8", "replace"))

    def _element(self, depth: int) -> str:
        name, attribute = self._random.choice(NAMES), self._random.choice(ATTRIBUTES)
        count = self._random.randint(0, 2) if depth < 4 else 0
        inside = "".join(self._element(depth + 1) for _ in range(count))
        return f"<wps:{name} {attribute}>{self._random.choice(TEXTS)}{inside}</wps:{name}>"

    def _damaged(self, body: bytes) -> bytes:
        if body and self._random.random() < 0.3:
            place = self._random.randrange(len(body))
            return (
                body[:place]
                + self._random.randbytes(self._random.randint(0, 4))
                + body[place + 1 :]
            )
        return body

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randint(0, 300))

    def _json(self) -> bytes:
        values = (
            "1",
            '"x"',
            "null",
            "[]",
            "{}",
            "1e999",
            "NaN",
            "9" * 400,
            '"\\ud800"',
            '"\\u0000"',
            "true",
        )
        keys = ("percent", "message", "scheme", "labels", "origin", "sensor", "visibility", "1")
        pairs = (f'"{self._random.choice(keys)}": {self._random.choice(values)}' for _ in range(4))
        return self._damaged(("{" + ", ".join(pairs) + "}").encode())

    def _deep(self) -> bytes:
        return self._random.choice((b"[", b'{"a":')) * self._random.choice((900, 30_000))

    def _form(self) -> bytes:
        return self._query("").encode() or b"a"

    def _upload(self) -> bytes:
        size = self._random.choice((10, 10, 1000, 400_000))
        part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="../x"\r\n\r\n'
        return self._damaged(part + self._random.randbytes(size) + b"\r\n--b--\r\n")

    def _bomb(self) -> bytes:
        return b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


class Outcome:
    """What came of all requests so far; may be used by several threads."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def note(self, request: bytes, answer: bytes, took_s: float) -> None:
        """Take note of an answer."""
        parts = answer[:20].split(b" ")
        status = parts[1].decode("ascii", "replace") if len(parts) > 1 else "closed"
        is_wrong = status.startswith("5") and int(status) not in UNSUPPORTED
        with self._lock:
            self.statuses[status] += 1
            self.slowest_s = max(self.slowest_s, took_s)
            if (is_wrong or took_s > HANG_S) and len(self.broken) < 50:
                self.broken.append(f"{status} after {took_s:.1f} s: {request[:400]!r}")


def send(port: int, request: bytes) -> bytes:
    """Send a request, say that nothing follows, and return the answer's beginning."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S * 2) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # refused before its end
            pass
        try:
            while chunk := connection.recv(65536):
                answer = answer or chunk
        except ConnectionError:
            pass
        except TimeoutError:
            return b"HTTP/1.1 599 none"
    return answer


def attack(port: int, makers: list[Maker], requests: int, outcome: Outcome) -> None:
    """Send requests from as many threads as there are makers."""

    def work(maker: Maker) -> None:
        for _ in range(requests // len(makers)):
            request = maker.request()
            began = time.perf_counter()
            outcome.note(request, send(port, request), time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(maker,)) for maker in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(folder: Path, port: int) -> None:
    """Serve a gateway with something of everything; it starts no jobs."""
    from candela.gateway.app import Gateway
    from candela.gateway.server import Server
    from candela.patches.store.database import open_database
    from candela.publish.base import Layer
    from candela.settings import Settings

    class Fuzzed(Server):
        def load(self):
            settings = self._settings
            open_database(settings.patches_query_url).close()
            gateway = Gateway.assemble(settings)
            gateway.start()
            gateway.jobs.publisher.publish(
                Layer(LAYER, "1", raster(folder / "change.tif"), "Change", "", "change")
            )
            client = gateway.application().test_client()
            told = client.get(f"{EXECUTE}&DataInputs=complex=<a/>{ASYNC}").text
            job = told.split("/wps/status/")[1][:36]
            gateway.jobs.store.wait(job, 60)
            gateway.dispatcher.stop()
            file = gateway.jobs.store.get(job).result.outputs["complexOutput"].file
            (folder / "known").write_text(f"{job} {file}")
            app = gateway.application()
            app.extensions["candela"] = gateway
            return app

    settings = Settings(
        url=f"http://127.0.0.1:{port}", data=folder / "data", grace_s=0, sync_timeout_s=0.05,
        patches_database=f"sqlite:///{folder / 'patches.db'}",
    )  # fmt: skip
    Fuzzed(settings, f"127.0.0.1:{port}").run()


def raster(path: Path) -> Path:
    """Write a change map."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, width=300, height=300, nodata=np.nan,
        crs="EPSG:32632", transform=from_origin(600_000, 5_400_000, 10, 10),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((1, 300, 300), 0.5, "float32"))
    return path


def memory_mib(process: psutil.Process) -> float:
    """Return the memory of a process and of all below it."""
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        raise SystemExit(run(Path(name), options.requests, options.seed, options.clients))


def run(folder: Path, requests: int, seed: int, clients: int) -> int:
    """Return 0 if nothing broke; print what came of it."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(folder), str(port)], stderr=log, stdout=log
        )
    process = psutil.Process(server.pid)
    try:
        known = wait_for(folder / "known", server)
        outcome = Outcome()
        makers = [Maker(seed * 1000 + number, known) for number in range(clients)]
        attack(port, makers, min(WARM, requests), outcome)
        workers, before = process.children(), memory_mib(process)
        began = time.perf_counter()
        attack(port, makers, requests, outcome)
        took_s = time.perf_counter() - began
        growth = memory_mib(process) - before
        died = [each.pid for each in workers if not each.is_running()]
        alive = send(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        server.terminate()
        server.wait(60)
    is_ready = b" 200 " in alive[:20]
    print(f"{requests} requests in {took_s:.0f} s, the slowest {outcome.slowest_s:.2f} s")
    print(
        "answers: " + ", ".join(f"{n} x {status}" for status, n in sorted(outcome.statuses.items()))
    )
    print(
        f"memory {before:.0f} MiB, {growth:+.0f} MiB; processes that died: {len(died)}; "
        f"ready: {is_ready}"
    )
    for line in outcome.broken:
        print(line)
    is_sound = not outcome.broken and not died and is_ready and growth < GROWTH_MIB
    if not is_sound:
        print((folder / "log").read_text(errors="replace")[-6000:])
    return 0 if is_sound else 1


def wait_for(path: Path, server: subprocess.Popen[bytes]) -> Known:
    """Return what there is at the gateway as soon as it says so."""
    until = time.monotonic() + 120
    while not path.is_file() or not path.read_text():
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit((path.parent / "log").read_text(errors="replace"))
        time.sleep(0.2)
    time.sleep(0.5)
    return Known(*path.read_text().split())


if __name__ == "__main__":
    main()
