"""A real browser without a window, driven by its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest
import websocket

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)  # fmt: skip
TIMEOUT_S = 60
QUIET_S = 0.5  # without a request or an answer: then a page is there


class Chromium:
    """One window; ``complaints`` is what its console said of errors."""

    def __init__(self, folder: Path) -> None:
        browser = shutil.which("chromium")
        if browser is None:
            pytest.skip("no chromium (Debian package chromium)")
        self.downloads = folder / "downloads"
        self._profile = folder / "profile"
        self._process = subprocess.Popen(
            [browser, *OPTIONS, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self._busy = 0
        self.complaints: list[str] = []
        self._socket = websocket.create_connection(self._address(), timeout=TIMEOUT_S)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self._ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(TIMEOUT_S)

    def _address(self) -> str:
        found = self._profile / "DevToolsActivePort"
        until = time.monotonic() + TIMEOUT_S
        while not found.is_file() or len(lines := found.read_text().split("\n")) < 2:
            assert time.monotonic() < until, "chromium does not start"
            time.sleep(0.05)
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}"

    def _ask(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self._busy += "redirectResponse" not in params
            case "Network.loadingFinished" | "Network.loadingFailed":
                self._busy -= 1
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command of the DevTools protocol to the window."""
        return self._ask(method, self._session, **params)

    def size(self, width: int, height: int) -> None:
        """Make the window as large as a screen; one below 700 pixels is a phone's."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 700,
        )  # fmt: skip

    def open(self, url: str) -> None:
        """Open an address, and wait until it is there."""
        self.complaints.clear()
        self._busy = 0
        self.send("Page.navigate", url=url)
        self.settle()

    def settle(self) -> None:
        """Wait until no request is under way."""
        until, quiet_since = time.monotonic() + TIMEOUT_S, time.monotonic()
        while time.monotonic() < min(until, quiet_since + QUIET_S):
            self._socket.settimeout(0.1)
            try:
                self._note(json.loads(self._socket.recv()))
            except websocket.WebSocketTimeoutException:
                pass
            finally:
                self._socket.settimeout(TIMEOUT_S)
            if self._busy > 0:
                quiet_since = time.monotonic()

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        until = time.monotonic() + TIMEOUT_S
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, f"{condition} does not come true"
            self.settle()

    @property
    def dom(self) -> str:
        """The page as it is now."""
        return str(self.run("document.documentElement.outerHTML"))

    def click(self, x: float, y: float) -> None:
        """Click a place in the window, and wait for what comes of it."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, as PNG."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
