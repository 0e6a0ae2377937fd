"""Schemas of the documents in the dialect of OpenAPI 3.0, under the names of the standard."""

from typing import Any, Final

from candela.gateway.protocols.ogcapi.vocabulary import Document

TEXT: Final = {"type": "string"}
NUMBER: Final = {"type": "number"}
COUNT: Final = {"type": "integer", "minimum": 0}
TIME: Final = {"type": "string", "format": "date-time"}
URI: Final = {"type": "string", "format": "uri"}
ANYTHING: Final[Document] = {}


def ref(name: str) -> Document:
    """Return the reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Document) -> Document:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def named(values: Document) -> Document:
    """Return the schema of an object with values by name."""
    return {"type": "object", "additionalProperties": values}


def record(required: str = "", /, **properties: Any) -> Document:  # noqa: ANN401 - schemas
    """Return the schema of an object; its required members stand between spaces."""
    found: Document = {"type": "object", "properties": properties}
    return found | ({"required": required.split()} if required else {})


def closed(schema: Document) -> Document:
    """Return the schema of an object that has no other members."""
    return schema | {"additionalProperties": False}


PLAIN: Final[Document] = {
    "anyOf": [TEXT, NUMBER, {"type": "boolean"}, listed(ANYTHING), {"type": "object"}]
}
LINKS: Final = listed(ref("link"))
FORMAT: Final = closed(record(mediaType=TEXT, encoding=TEXT, schema=ANYTHING))
MODE: Final = {"type": "string", "enum": ["value", "reference"]}
SUMMARY: Final[Document] = {
    "id": TEXT,
    "title": TEXT,
    "description": TEXT,
    "version": TEXT,
    "keywords": listed(TEXT),
    "metadata": listed(record(title=TEXT, role=TEXT, href=TEXT)),
    "jobControlOptions": listed(
        {"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]}
    ),
    "outputTransmission": listed(MODE),
    "links": LINKS,
}
DESCRIBED: Final[Document] = {
    "title": TEXT,
    "description": TEXT,
    "metadata": listed(ANYTHING),
    "schema": {"type": "object"},
}

SCHEMAS: Final[dict[str, Document]] = {
    "link": record("href", href=URI, rel=TEXT, type=TEXT, hreflang=TEXT, title=TEXT, length=COUNT),
    "landingPage": record("links", title=TEXT, description=TEXT, links=LINKS),
    "confClasses": record("conformsTo", conformsTo=listed(URI)),
    "processSummary": record("id version", **SUMMARY),
    "processList": record(
        "processes links", processes=listed(ref("processSummary")), numberTotal=COUNT, links=LINKS
    ),
    "process": record(
        "id version",
        **SUMMARY,
        inputs=named(
            record(
                "schema",
                **DESCRIBED,
                minOccurs=COUNT,
                maxOccurs={"oneOf": [COUNT, {"type": "string", "enum": ["unbounded"]}]},
            )
        ),
        outputs=named(record("schema", **DESCRIBED)),
    ),
    "reference": closed(
        record("href", href=URI, type=TEXT, rel=TEXT, hreflang=TEXT, title=TEXT, format=FORMAT)
    ),
    "bbox": closed(
        record(
            "bbox",
            bbox={"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4},
            crs=TEXT | {"default": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        )
    ),
    "qualifiedValue": closed(
        record("value", value=PLAIN, mediaType=TEXT, encoding=TEXT, schema=ANYTHING, format=FORMAT)
    ),
    "value": {
        "description": "A value, a list of values, a reference, a qualified value or a box.",
        "anyOf": [
            TEXT,
            NUMBER,
            {"type": "boolean"},
            listed(ANYTHING),
            ref("reference"),
            ref("qualifiedValue"),
            ref("bbox"),
            {"type": "object"},
        ],
    },
    "execute": closed(
        record(
            inputs=named(ref("value")),
            outputs=named(closed(record(transmissionMode=MODE, format=FORMAT))),
            response={"type": "string", "enum": ["raw", "document"], "default": "raw"},
            subscriber=ref("subscriber"),
        )
    ),
    "subscriber": closed(record(successUri=URI, inProgressUri=URI, failedUri=URI)),
    "validation": record(
        "processID version request", processID=TEXT, version=TEXT, request=ref("execute")
    ),
    "usage": record(
        wallSeconds=NUMBER,
        cpuSeconds=NUMBER,
        gigabyteSeconds=NUMBER,
        peakMemoryBytes=COUNT,
        inputBytes=COUNT,
        outputBytes=COUNT,
    ),
    "statusInfo": record(
        "jobID status type",
        jobID=TEXT,
        processID=TEXT,
        type={"type": "string", "enum": ["process"]},
        status={
            "type": "string",
            "enum": ["accepted", "running", "successful", "failed", "dismissed"],
        },
        state=TEXT | {"description": "The state within this gateway, finer than the status."},
        title=TEXT | {"description": "What the user calls the job."},
        message=TEXT,
        progress=COUNT | {"maximum": 100},
        created=TIME,
        started=TIME,
        finished=TIME,
        updated=TIME,
        expires=TIME | {"description": "When the results are removed, or what is left of the job."},
        removed=TIME | {"description": "When the results were removed."},
        jobsAhead=COUNT | {"description": "How many jobs in the queue come before."},
        estimatedStart=TIME,
        estimatedEnd=TIME,
        footprint=ref("bbox"),
        usage=ref("usage"),
        exception=record(code=TEXT, locator=TEXT, log=TEXT),
        inputs=named(listed(ANYTHING)),
        outputs=named(ref("value")),
        links=LINKS,
    ),
    "jobList": record("jobs links", jobs=listed(ref("statusInfo")), numberTotal=COUNT, links=LINKS),
    "results": named(ref("value")),
    "events": record(
        "events",
        events=listed(record("time state", time=TIME, state=TEXT, message=TEXT, cause=TEXT)),
    ),
    "exception": record(
        "type",
        type=TEXT,
        title=TEXT,
        status={"type": "integer"},
        detail=TEXT,
        instance=TEXT,
        code=TEXT | {"description": "The exception code of WPS."},
        locator=TEXT | {"description": "The input, output or parameter to blame."},
    ),
    "text": TEXT,
}
