"""Files that are too large for a request go to the server in parts, and on after interruptions.

Where an upload stands is known by the server; which upload belongs to which file is kept in
``~/.cache/candela/uploads``, so that another program, or the same one started again, goes on, and a
file that is there already is not sent twice.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from candela.client.errors import (
    InputValueError,
    NotFoundError,
    NotOfferedError,
    RequestRefusedError,
    ServerAnswerError,
    ServerUnreachableError,
)
from candela.client.transport import Transport
from candela.client.waiting import FIRST_PAUSE_S, GROWTH, LONGEST_PAUSE_S, PATIENCE_S

PART_BYTES = 8 * 2**20
PIECE_BYTES = 2**20
MEDIA_TYPE = "application/offset+octet-stream"
OUT_OF_STEP = frozenset({409, 423})  # a part that was sent before has come, or comes

UploadProgress = Callable[[float, str], None]  # percent, and the present step


class Uploader:
    """Sends files to one server, one at a time.

    Parameters
    ----------
    transport : Transport
        To the server.
    memory : Path, optional
        The folder that keeps which upload belongs to which file.
    """

    def __init__(self, transport: Transport, memory: Path | None = None) -> None:
        self._transport = transport
        self._memory = memory or Path.home() / ".cache" / "candela" / "uploads"
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def send(self, path: Path, progress: UploadProgress) -> str:
        """Send a file, or the rest of it, and return its address for a job's inputs.

        Raises
        ------
        NotOfferedError
            If the server takes no uploads.
        InputValueError
            If the file changes while it is sent.
        RequestRefusedError, ServerUnreachableError
            If the server does not take it.
        """
        with self._lock:
            name = self._name(path)
            state = self._known_state(name)
            if state is None:
                self._begin(name, path, progress)
                state = self._known_state(name)
            if state is None:
                raise ServerAnswerError(f"{self._transport.base} does not know the upload it began")
            try:
                while not state["complete"]:
                    state = self._send_rest(name, path, state, progress)
            except RequestRefusedError as error:
                self._forget(name)
                if self._name(path) != name:
                    raise InputValueError(f"{path} has changed while it was sent") from error
                raise
            return str(state["href"])

    def _begin(self, name: str, path: Path, progress: UploadProgress) -> None:
        progress(0, f"checksum of {path.name}")
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        words = {"filename": path.name, "sha256": checksum}
        metadata = (f"{key} {b64encode(text.encode()).decode()}" for key, text in words.items())
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(path.stat().st_size),
            "Upload-Metadata": ",".join(metadata),
        }
        address = f"{self._transport.base}/uploads"
        try:
            answer = self._transport.request("POST", address, headers=headers)
        except NotFoundError:
            raise NotOfferedError(f"{self._transport.base} takes no uploads") from None
        except RequestRefusedError as error:
            if error.status == 405:
                raise NotOfferedError(f"{self._transport.base} takes no uploads") from None
            raise
        with answer:
            secret = answer.headers.get("Location", "").rpartition("/")[2]
        if answer.status_code != 201 or not secret:
            raise NotOfferedError(f"{self._transport.base} takes no uploads")
        self._remember(name, secret)

    def _send_rest(self, name: str, path: Path, state: Any, progress: UploadProgress) -> Any:  # noqa: ANN401 - JSON
        """Send part after part until the server says that it has all, or something else."""
        offset, size = int(state["offset"]), int(state["size"])
        part_bytes = min(PART_BYTES, int(state["partBytes"]))
        last_success, pause_s = time.monotonic(), FIRST_PAUSE_S
        with path.open("rb") as file:
            while True:
                progress(100 * offset / size, f"sending {path.name}, {size / 1e6:.0f} MB")
                file.seek(offset)
                try:
                    offset = self._send_part(
                        name, offset, file.read(min(part_bytes, size - offset))
                    )
                    last_success, pause_s = time.monotonic(), FIRST_PAUSE_S
                    if offset < size:
                        continue
                    return self._state(name)
                except NotFoundError as error:
                    raise RequestRefusedError(f"the upload of {path.name} is gone") from error
                except (RequestRefusedError, ServerUnreachableError) as error:
                    is_out_of_step = getattr(error, "status", 0) in OUT_OF_STEP
                    if isinstance(error, RequestRefusedError) and not is_out_of_step:
                        raise
                    if time.monotonic() - last_success > PATIENCE_S:
                        raise
                    time.sleep(pause_s)
                    pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
                    offset = self._offset(name, offset)

    def _send_part(self, name: str, offset: int, part: bytes) -> int:
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(offset),
            "Content-Type": MEDIA_TYPE,
        }
        with self._transport.request(
            "PATCH", self._address(name), headers=headers, data=part
        ) as sent:
            return int(sent.headers["Upload-Offset"])

    def _offset(self, name: str, before: int) -> int:
        """Ask for the offset; while the server is away it stays as it was."""
        try:
            return int(self._state(name)["offset"])
        except ServerUnreachableError:
            return before

    def _known_state(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return the state of an earlier upload of the file; None if there is none."""
        if not self._recall(name):
            return None
        try:
            return self._state(name)
        except NotFoundError:  # expired
            self._forget(name)
            return None

    def _state(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self._transport.json(self._address(name))

    def _address(self, name: str) -> str:
        return f"{self._transport.base}/uploads/{self._known[name]}"

    def _name(self, path: Path) -> str:
        state = path.stat()
        identity = (self._transport.base, str(path.resolve()), state.st_size, state.st_mtime_ns)
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]

    def _recall(self, name: str) -> bool:
        if name not in self._known:
            try:
                self._known[name] = (self._memory / name).read_text(encoding="ascii")
            except (OSError, ValueError):
                return False
        return True

    def _remember(self, name: str, secret: str) -> None:
        self._known[name] = secret
        try:
            self._memory.mkdir(parents=True, exist_ok=True, mode=0o700)
            number, unfinished = tempfile.mkstemp(dir=self._memory, prefix=".")  # for us alone
            with os.fdopen(number, "w", encoding="ascii") as file:
                file.write(secret)
            Path(unfinished).replace(self._memory / name)
        except OSError:
            return  # then this program alone can go on with it

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        try:
            (self._memory / name).unlink(missing_ok=True)
        except OSError:
            return


def no_progress(_percent: float, _note: str) -> None:
    """Show nothing."""
