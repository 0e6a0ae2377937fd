"""Requests made by the grammar of OGC API - Processes, then damaged: what breaks, hangs or grows.

    python benchmarks/ogcapi_grammar.py [--cases 100000] [--seed 1]

Three quarters of the requests are execute documents, for execution or validation; the others ask
for processes, jobs and results with parameters. A third is left as the grammar makes them, the
others are damaged in up to four places: members left out, renamed, repeated, given another value,
cut off. The gateway is in this process; it accepts jobs and starts none. The same seed makes the
same requests. It fails where an answer is 5xx, takes longer than 10 s, is an error without a valid
problem document or JSON that is not valid, or memory grew by more than 100 MiB.
"""

import copy
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
from _grammar import run_cases
from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from schemas import json_schema, json_schema_folder

HANG_S = 10
KEPT_JOBS = 50  # jobs that requests may name; older ones are dismissed
NOISE = [
    None, True, 0, -1, 1e300, 10**400, "", " ", "x", "\0", "\ud800", "é€😀", "9" * 400, "1e400", [],
    {}, [[]], {"value": {}}, {"href": "file:///etc/x"}, {"href": "http://["}, {"bbox": [1, 2, 3]},
    {"bbox": [1, 2, 3, 4], "crs": "EPSG:\0"}, {"format": {"encoding": 7}}, {"value": "%%%"},
]  # fmt: skip
INPUTS: dict[str, list[Any]] = {
    "literal": [
        "a text",
        {"value": "a text"},
        {"href": "http://h.example/x", "type": "text/plain"},
    ],
    "pause": [0.5, 0, {"value": 1}],
    "numbers": [1.5, [1, 2], [{"value": 3}], []],
    "bbox": [{"bbox": [1, 2, 3, 4]}, {"bbox": [1, 2, 3, 4], "crs": "urn:ogc:def:crs:EPSG::4326"}],
    "complex": ["<a/>", {"value": "<a/>", "mediaType": "text/xml"}, {"href": "s3://b/x.xml"}],
    "document": [{"a": [1, None]}, {"value": "text"}, "[1]"],
    "mixed": [{"value": {"a": 1}}, {"value": "SUkqAA==", "mediaType": "image/tiff"}],
    "image": ["SUkqAA==", {"value": "SUkqAA==", "format": {"encoding": "base64"}}],
}
OUTPUTS = ["literalOutput", "bboxOutput", "sum", "imageOutput", "mixedOutput", "complexOutput"]
PROCESSES = ["Echo"] * 12 + ["ChangeDetect", "Jpeg2Tiff", "org.n52.javaps.test.EchoProcess", "Ekko"]
PARAMETERS = {
    "status": ["accepted", "failed,running", "done"], "processID": ["Echo", "Echo,x"],
    "type": ["process", "x"], "limit": ["1", "0", "x"], "token": ["x", "MjAyNg"],
    "datetime": ["2026-01-01", "2026-01-01/..", "../x", "/"], "bbox": ["1,2,3,4", "1,2", "x"],
    "minDuration": ["0", "-1"], "maxDuration": ["1", "9" * 20], "f": ["json", "html", "xml"],
}  # fmt: skip
SCHEMAS = {
    "": "landingPage.yaml", "conformance": "confClasses.yaml", "processes": "processList.yaml",
    "process": "process.yaml", "jobs": "jobList.yaml", "job": "statusInfo.yaml",
}  # fmt: skip


class Grammar:
    """Makes requests: a method, an address and, for executions, a document as text.

    Parameters
    ----------
    seed : int
        The same one makes the same requests, as long as the jobs are the same.
    jobs : deque of str
        Ids of jobs that there are.
    """

    def __init__(self, seed: int, jobs: deque[str]) -> None:
        self._random = random.Random(seed)
        self._jobs = jobs

    def request(self) -> tuple[str, str, str | None, dict[str, str]]:
        """Return method, address, document (None without) and headers."""
        if self._random.random() < 0.25:
            return self._pick("GET", "GET", "GET", "HEAD", "DELETE"), self._address(), None, {}
        document: Any = self._document()
        damage = self._random.choice([0, 1, 1, 2, 4, 0])
        for _ in range(damage):
            document = self._damaged(document)
        text = json.dumps(document)
        if damage and self._random.random() < 0.1:
            place = self._random.randrange(len(text) + 1)
            text = text[:place] + self._pick("", "{", '"', "NaN", "\\ud800", text)
        operation = self._pick("validation", "execution")
        headers = {"Prefer": self._pick("respond-async", "wait=0", "dry-run", "x=;,", "")}
        return "POST", f"/processes/{self._pick(*PROCESSES)}/{operation}", text, headers

    def _pick(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _address(self) -> str:
        job = self._random.choice([*self._jobs, "no-job"])
        path = self._pick(
            "/", "/conformance", "/processes", "/processes/Echo", "/jobs", "/jobs", f"/jobs/{job}",
            f"/jobs/{job}/results", f"/jobs/{job}/results/sum", f"/jobs/{job}/request",
            f"/jobs/{job}/events", f"/jobs/{job}/log",
        )  # fmt: skip
        names = self._random.sample(list(PARAMETERS), self._random.choice([0, 0, 1, 2]))
        pairs = [f"{name}={quote(self._random.choice(PARAMETERS[name]))}" for name in names]
        return f"{path}?{'&'.join(pairs)}" if pairs else path

    def _document(self) -> dict[str, Any]:
        names = self._random.sample(list(INPUTS), self._random.randint(0, 4))
        document: dict[str, Any] = {
            "inputs": {name: copy.deepcopy(self._random.choice(INPUTS[name])) for name in names}
        }
        if self._random.random() < 0.6:
            modes = [{}, {"transmissionMode": "value"}, {"transmissionMode": "reference"}]
            wanted = self._random.sample(OUTPUTS, self._random.randint(0, 3))
            document["outputs"] = {name: dict(self._random.choice(modes)) for name in wanted}
        if self._random.random() < 0.6:
            document["response"] = self._pick("raw", "document")
        return document

    def _damaged(self, document: Any) -> Any:
        """Damage a document at one place."""
        places = list(_places(document))
        if not places:
            return self._random.choice(NOISE)
        holder, key = self._random.choice(places)
        noise = self._random.choice(NOISE)
        action = self._random.randrange(5)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[self._pick("value", "href", "bbox", "x", "\0")] = holder.pop(key)
        elif action == 2:
            holder[key] = [holder[key], copy.deepcopy(holder[key])]
        else:
            holder[key] = copy.deepcopy(noise)
        return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all holders with their keys."""
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from _places(document[key])


class Run:
    """Requests to a gateway, and what came of them."""

    def __init__(self, http: FlaskClient, seed: int) -> None:
        self._http = http
        self._jobs: deque[str] = deque()
        self._grammar = Grammar(seed, self._jobs)
        self._validators: dict[str, jsonschema.protocols.Validator] = {}
        self.counts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.faults: list[str] = []

    def step(self) -> None:
        """Send one request and look at its answer."""
        method, address, document, headers = self._grammar.request()
        if document is not None:
            headers |= {"Content-Type": "application/json"}
        start = time.perf_counter()
        answer = self._http.open(address, method=method, data=document, headers=headers)
        took_s = time.perf_counter() - start
        self.slowest_s = max(self.slowest_s, took_s)
        self.counts[f"{method} {answer.status_code}"] += 1
        fault = f"it took {took_s:.1f} s" if took_s > HANG_S else ""
        if method != "HEAD":
            fault = fault or self._fault(answer, address)
        if fault:
            self.faults.append(f"{fault}: {method} {address} {document!r}")
        if answer.status_code == 201:
            self._jobs.append(answer.json["jobID"])
        while len(self._jobs) > KEPT_JOBS:
            self._http.delete(f"/jobs/{self._jobs.popleft()}")

    def _fault(self, answer: Any, address: str) -> str:
        if answer.status_code >= 500:
            return f"status {answer.status_code}"
        if answer.status_code >= 400:
            if answer.mimetype == "text/html":  # by f=html
                return ""
            if answer.mimetype != "application/problem+json":
                return f"status {answer.status_code} with {answer.mimetype}"
            return self._invalid(answer.json, "exception.yaml") or (
                "" if answer.json.get("detail") else "no detail"
            )
        if answer.mimetype != "application/json":
            return ""
        _, _, name = address.partition("?")[0].partition("/")
        kind, _, rest = name.partition("/")
        if answer.status_code == 201:
            return self._invalid(answer.json, SCHEMAS["job"])
        if rest and "/" not in rest:
            kind = {"processes": "process", "jobs": "job"}[kind]
        elif rest:
            return ""
        return self._invalid(answer.json, SCHEMAS[kind])

    def _invalid(self, document: Any, name: str) -> str:
        if json_schema_folder() is None:
            return ""
        if name not in self._validators:
            self._validators[name] = jsonschema.Draft7Validator(json_schema(name))
        error = next(self._validators[name].iter_errors(document), None)
        return f"not valid by {name}: {error.message}" if error else ""


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, Run))
