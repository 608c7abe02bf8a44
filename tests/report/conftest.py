"""A headless Chromium, where there is one, spoken to by its DevTools protocol over a pair of pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# A machine that is busy starts a browser slowly.
SECONDS = 60.0


class Browser:
    """One page of a browser. trouble: what the console was told as a warning or an error, and what was thrown.

    Source: https://chromedevtools.github.io/devtools-protocol/; messages are JSON that ends in a zero byte.
    """

    def __init__(self, program: str, profile: Path) -> None:
        (child_in, self._out), (self._in, child_out) = os.pipe(), os.pipe()
        # The browser reads from its descriptor 3 and writes to 4.
        command = (
            f'exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe '
            f'--user-data-dir="$1" about:blank 3<&{child_in} 4>&{child_out} 2>/dev/null'
        )
        self._process = subprocess.Popen(["bash", "-c", command, program, str(profile)], pass_fds=(child_in, child_out))
        os.close(child_in)
        os.close(child_out)
        self._number, self._waiting = 0, b""
        self._session: str | None = None
        self.trouble: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, file: Path, *, width: int = 1280, height: int = 900, mobile: bool = False) -> None:
        """Show a file in a window of this size, and wait until it is there."""
        self.trouble.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Page.navigate", url=file.resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def wait(self, condition: str) -> None:
        """Until a condition in JavaScript holds."""
        end = time.monotonic() + SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, f"{condition} has not come true; {self.trouble}"
            time.sleep(0.05)

    def ask(self, expression: str) -> Any:
        """The value of an expression in JavaScript, as JSON carries it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """What is to be seen as a PNG, or the whole page from top to bottom."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(picture["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come between are heeded."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            self._heed(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _heed(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.trouble.append(json.dumps(told["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.trouble.append(json.dumps(told["args"]))
        elif event.get("method") == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.trouble.append(told["entry"]["text"])

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._in, 1 << 20) if ready else b""
            assert chunk, "the browser says nothing" if not ready else "the browser has ended"
            self._waiting += chunk
        message, _, self._waiting = self._waiting.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    try:
        page = Browser(program, tmp_path_factory.mktemp("profile"))
    except AssertionError as error:
        pytest.skip(f"{program} does not start: {error}")
    yield page
    page.close()
