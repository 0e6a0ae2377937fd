"""Requests made by the grammar of WPS 1.0.0 and 2.0, then damaged: what breaks, hangs or grows.

    python benchmarks/wps_grammar.py [--cases 100000] [--seed 1]

Half of the requests are key-value pairs, half documents; a third of them is left as the grammar
makes them, the others are damaged in up to four places: parts left out, repeated, swapped, given
another name, value, attribute or namespace, cut off. The gateway is in this process; it accepts
jobs and starts none. The same seed makes the same requests. It fails where an answer is 5xx, takes
longer than 10 s, is an error without a valid exception report, or memory grew by more than 100 MiB.
"""

import random
import sys
import time
from collections import Counter, deque
from pathlib import Path
from urllib.parse import quote

from _grammar import run_cases
from flask.testing import FlaskClient
from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from schemas import ROOTS, schema_folder, schema_for

HANG_S = 10
KEPT_JOBS = 50  # jobs that requests may name; older ones are dismissed
NOISE = [
    "", " ", "x", "0", "-1", "1e400", "nan", "\0", "\ud800", "é€😀", "%00", "&amp;", "<", ">", '"',
    "9" * 400, "true", "2.0.0", "1.0.0", "WPS", "Echo", "ALL", "../..", "http://[", "file:///etc/x",
    "urn:ogc:def:crs:EPSG::4326", "EPSG:\0", "a;b=c@d", "@", "=", ";", ",", "\r\nX: y",
]  # fmt: skip
NAMESPACES = {
    "1": 'xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"',
    "2": 'xmlns:wps="http://www.opengis.net/wps/2.0" xmlns:ows="http://www.opengis.net/ows/2.0"',
}
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
VERSIONS = {"1": "1.0.0", "2": "2.0.0"}
PROCESSES = ["Echo"] * 12 + ["ChangeDetect", "Jpeg2Tiff", "org.n52.javaps.test.EchoProcess", "Ekko"]
LITERALS = {"literal": "a text", "pause": "0.5", "numbers": "1.5"}
FILES = {"complex": "<a>1</a>", "document": '{"a": 1}', "mixed": "[1]", "image": "SUkqAA=="}
OUTPUTS = ["literalOutput", "bboxOutput", "sum", "imageOutput", "mixedOutput", "complexOutput"]


class Grammar:
    """Makes requests: an address and, for half of them, a document.

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

    def request(self) -> tuple[str, str | None]:
        """Return a query and a document, or None where it is a GET."""
        version = self._pick("1", "2", "2")
        damage = self._random.choice([0, 1, 1, 2, 4, 0])
        if self._random.random() < 0.5:
            return "&".join(self._damaged(self._pairs(version), damage)), None
        document = self._document(version)
        for _ in range(damage):
            document = self._damaged_text(document)
        return "", document

    def _pick(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _job(self) -> str:
        return self._random.choice([*self._jobs, "no-job"])

    def _pairs(self, version: str) -> list[str]:
        operations = {
            "1": ["GetCapabilities", "DescribeProcess", "Execute", "Execute"],
            "2": ["GetCapabilities", "DescribeProcess", "GetStatus", "GetResult", "Dismiss"],
        }
        operation = self._random.choice(operations[version])
        pairs = {"service": "WPS", "request": operation}
        if operation != "GetCapabilities":
            pairs["version"] = VERSIONS[version]
        elif self._random.random() < 0.7:
            pairs["AcceptVersions"] = self._pick("1.0.0", "2.0.0", "2.0.0,1.0.0", "3.0.0")
        if operation in {"DescribeProcess", "Execute"}:
            pairs["identifier"] = self._pick(*PROCESSES, "ALL")
        if operation in {"GetStatus", "GetResult", "Dismiss"}:
            pairs["jobid"] = self._job()
        if operation == "Execute":
            pairs |= self._execute_pairs()
        case = self._random.choice([str.lower, str.upper, str.title, str.strip])
        return [f"{case(key)}={quote(value, errors='replace')}" for key, value in pairs.items()]

    def _execute_pairs(self) -> dict[str, str]:
        inputs = [f"{name}={quote(text)}" for name, text in LITERALS.items()]
        inputs += [f"{name}={quote(text)}" for name, text in FILES.items()]
        inputs += ["bbox=1,2,3,4,EPSG:4326", "complex=@xlink:href=http://h/x@mimeType=text/xml"]
        form = self._pick("ResponseDocument", "RawDataOutput")
        outputs = self._random.sample(OUTPUTS, 1 if form == "RawDataOutput" else 2)
        return {
            "DataInputs": ";".join(self._random.sample(inputs, self._random.randint(0, 4))),
            form: ";".join(outputs),
            "storeExecuteResponse": "true",
            "status": self._pick("true", "true", "false"),
            "lineage": self._pick("true", "false"),
        }

    def _damaged(self, pairs: list[str], damage: int) -> list[str]:
        for _ in range(damage):
            if not pairs:
                break
            place = self._random.randrange(len(pairs))
            name, _, value = pairs[place].partition("=")
            noise = quote(self._pick(*NOISE), errors="replace")
            pairs[place : place + 1] = self._random.choice(
                [
                    [],
                    [pairs[place], pairs[place]],
                    [f"{name}={noise}"],
                    [f"{name}={value}{noise}"],
                    [f"{noise}={value}"],
                    [name],
                    [f"{name}={value[: len(value) // 2]}"],
                ]
            )
        return pairs

    def _document(self, version: str) -> str:
        operation = self._pick("GetCapabilities", "DescribeProcess", *["Execute"] * 4)
        if version == "2" and self._random.random() < 0.3:
            operation = self._pick("GetStatus", "GetResult", "Dismiss")
        head = f'{NAMESPACES[version]} {XLINK} service="WPS"'
        if operation != "GetCapabilities":
            head += f' version="{VERSIONS[version]}"'
        identifier = f"<ows:Identifier>{self._pick(*PROCESSES)}</ows:Identifier>"
        if operation == "GetCapabilities":
            content = ""
        elif operation == "DescribeProcess":
            content = identifier
        elif operation != "Execute":
            content = f"<wps:JobID>{self._job()}</wps:JobID>"
        elif version == "1":
            content = f"{identifier}{self._inputs_of_1()}{self._form_of_1()}"
        else:
            mode, form = self._pick("async", "async", "auto", "sync"), self._pick("document", "raw")
            head += f' mode="{mode}" response="{form}"'
            content = f"{identifier}{self._inputs_of_2()}{self._outputs_of_2()}"
        return f"<wps:{operation} {head}>{content}</wps:{operation}>"

    def _inputs_of_1(self) -> str:
        inputs = [
            f"<wps:Data><wps:LiteralData>{text}</wps:LiteralData></wps:Data>"
            for text in LITERALS.values()
        ]
        inputs += [
            f"<wps:Data><wps:ComplexData>{text}</wps:ComplexData></wps:Data>"
            for text in FILES.values()
        ]
        inputs.append(
            '<wps:Data><wps:BoundingBoxData crs="EPSG:4326"><ows:LowerCorner>1 2</ows:LowerCorner>'
            "<ows:UpperCorner>3 4</ows:UpperCorner></wps:BoundingBoxData></wps:Data>"
        )
        inputs.append(
            '<wps:Reference xlink:href="http://h/x" method="POST"><wps:Header key="a" value="b"/>'
            "<wps:Body>x</wps:Body></wps:Reference>"
        )
        names = [*LITERALS, *FILES, "bbox", "complex"]
        chosen = self._random.sample(list(zip(names, inputs, strict=True)), 3)
        content = "".join(
            f"<wps:Input><ows:Identifier>{name}</ows:Identifier>{data}</wps:Input>"
            for name, data in chosen
        )
        return f"<wps:DataInputs>{content}</wps:DataInputs>"

    def _form_of_1(self) -> str:
        identifier = f"<ows:Identifier>{self._pick(*OUTPUTS)}</ows:Identifier>"
        if self._random.random() < 0.3:
            return (
                f"<wps:ResponseForm><wps:RawDataOutput>{identifier}</wps:RawDataOutput>"
                "</wps:ResponseForm>"
            )
        return (
            '<wps:ResponseForm><wps:ResponseDocument storeExecuteResponse="true" status="true" '
            f'lineage="true"><wps:Output asReference="true">{identifier}</wps:Output>'
            "</wps:ResponseDocument></wps:ResponseForm>"
        )

    def _inputs_of_2(self) -> str:
        inputs = [
            f"<wps:Data><wps:LiteralValue>{text}</wps:LiteralValue></wps:Data>"
            for text in LITERALS.values()
        ]
        inputs += [f"<wps:Data>{text}</wps:Data>" for text in FILES.values()]
        inputs.append(
            '<wps:Data><ows:BoundingBox crs="EPSG:4326"><ows:LowerCorner>1 2</ows:LowerCorner>'
            "<ows:UpperCorner>3 4</ows:UpperCorner></ows:BoundingBox></wps:Data>"
        )
        inputs.append(
            '<wps:Reference xlink:href="http://h/x" mimeType="text/xml"><wps:Body>x</wps:Body>'
            "</wps:Reference>"
        )
        names = [*LITERALS, *FILES, "bbox", "complex"]
        chosen = self._random.sample(list(zip(names, inputs, strict=True)), 3)
        return "".join(f'<wps:Input id="{name}">{data}</wps:Input>' for name, data in chosen)

    def _outputs_of_2(self) -> str:
        count = self._random.randint(0, 2)
        return "".join(
            f'<wps:Output id="{name}" transmission="{self._pick("value", "reference")}"/>'
            for name in self._random.sample(OUTPUTS, count)
        )

    def _damaged_text(self, document: str) -> str:
        """Damage a document at one place: an element, an attribute, a text or a byte."""
        marks = [place for place, letter in enumerate(document) if letter in '<>" ']
        if not marks:
            return self._pick(*NOISE)
        first, second = sorted(self._random.choice(marks) for _ in range(2))
        inner, noise = document[first:second], self._pick(*NOISE)
        return self._random.choice(
            [
                document[:first] + document[second:],
                document[:second] + inner + document[second:],
                document[: first + 1] + noise + document[first + 1 :],
                document.replace(self._pick("wps:Data", "id=", "wps/2.0", "ows:"), noise, 1),
                document.replace("wps:Input", self._pick("wps:Output", "wps:Data", "ows:Title")),
                document[:second],
                document[:first] + f"<!--{inner.replace('--', '')}-->" + document[second:],
                document[:first] + f"<![CDATA[{inner}]]>" + document[second:],
                '<!DOCTYPE a [<!ENTITY b "c">]>' + document,
            ]
        )


class Run:
    """Requests to a gateway, and what came of them."""

    def __init__(self, http: FlaskClient, seed: int) -> None:
        self._http = http
        self._jobs: deque[str] = deque()
        self._grammar = Grammar(seed, self._jobs)
        self.counts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.faults: list[str] = []

    def step(self) -> None:
        """Send one request and look at its answer."""
        query, document = self._grammar.request()
        start = time.perf_counter()
        if document is None:
            answer = self._http.get(f"/wps?{query}")
        else:
            answer = self._http.post("/wps", data=document.encode(errors="surrogatepass"))
        took_s = time.perf_counter() - start
        self.slowest_s = max(self.slowest_s, took_s)
        fault = self._fault(answer.status_code, answer.data, took_s)
        if fault:
            self.faults.append(f"{fault}: {query or document!r}")
        self._follow()

    def _fault(self, status: int, content: bytes, took_s: float) -> str:
        if took_s > HANG_S:
            return f"it took {took_s:.1f} s"
        if status >= 500:
            return f"status {status}"
        try:
            root = etree.fromstring(content)
        except etree.XMLSyntaxError:
            return f"no document (status {status})" if status != 200 else ""
        namespace = etree.QName(root).namespace or ""
        if namespace in ROOTS and schema_folder(namespace):
            schema = schema_for(namespace)
            if not schema.validate(root):
                return f"not valid: {schema.error_log.last_error}"
        name = etree.QName(root).localname
        if status != 200 and name != "ExceptionReport":
            return f"{name} with status {status}"
        number = "2.0" if namespace.endswith("/2.0") else "1.0.0"
        code = root[0].get("exceptionCode") if name == "ExceptionReport" else name
        self.counts[f"{number} {code}"] += 1
        job = root.findtext("{http://www.opengis.net/wps/2.0}JobID")
        job = job or (root.get("statusLocation") or "").rpartition("/")[2]
        if job and job not in self._jobs:
            self._jobs.append(job)
        return ""

    def _follow(self) -> None:
        while len(self._jobs) > KEPT_JOBS:
            job = self._jobs.popleft()
            self._http.get(f"/wps?service=WPS&version=2.0.0&request=Dismiss&jobid={job}")


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, Run))
