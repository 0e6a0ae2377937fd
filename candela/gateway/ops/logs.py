"""Log lines as JSON, one object each, for what collects the logs of a cluster."""

import datetime as dt
import json
import logging
import re

_JOB = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger and message; the id of a job and a traceback where there are."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        message = record.getMessage()
        time = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        if job := _JOB.search(message):
            line["job"] = job[0]
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(level: int, *, as_json: bool) -> None:
    """Let all loggers write to standard error."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if as_json else text)
    logging.basicConfig(level=level, handlers=[handler])
