"""A page in a real Chromium, driven over pipes by its DevTools protocol: no package is needed."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
HINT = "no Chromium here; on Debian and Ubuntu: apt install chromium"
_LIMIT_S = 60.0  # for an answer, on a machine that is busy


def program() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One tab. What it reports is kept: `problems` of the console, `requests` to anywhere."""

    def __init__(self, send: int, receive: int) -> None:
        self.send, self.receive, self.rest, self.count = send, receive, b"", 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.events: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    session: str | None = None

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one call."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self.count:
                assert "error" not in told, told
                return told["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _LIMIT_S
        while b"\0" not in self.rest:
            assert select.select([self.receive], [], [], max(0.0, end - time.monotonic()))[0], "no answer"
            part = os.read(self.receive, 1 << 16)
            assert part, "the browser has ended"
            self.rest += part
        text, self.rest = self.rest.split(b"\0", 1)
        told = json.loads(text)
        self._keep(told.get("method", ""), told.get("params", {}))
        return told

    def _keep(self, method: str, told: dict[str, Any]) -> None:
        self.events.append(method)
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded":
            self.problems.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def open(self, url: str) -> None:
        """Show a page, until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self._next()

    def value(self, script: str) -> Any:
        """What a JavaScript expression comes to in the page, after the next picture was drawn."""
        waited = f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({script}))))"
        told = self.ask("Runtime.evaluate", expression=waited, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """One key, as from a keyboard."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def resize(self, width: int, height: int) -> None:
        """A screen of that size, as a telephone has it."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True)


@contextmanager
def opened(profile: Path) -> Iterator[Browser]:
    """A headless browser with a profile of its own, and without any network."""
    to_it, send = os.pipe()
    receive, from_it = os.pipe()
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--proxy-server=127.0.0.1:9",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    command = ["bash", "-c", f'exec "$@" 3<&{to_it} 4>&{from_it}', "bash", str(program()), *options]
    process = subprocess.Popen(
        command, pass_fds=(to_it, from_it), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_it)
    os.close(from_it)
    try:
        yield Browser(send, receive)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(send)
        os.close(receive)
