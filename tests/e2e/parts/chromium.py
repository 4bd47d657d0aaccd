"""Debian's Chromium without a window, driven over the pipe of its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import CLONE

AXE = CLONE / ".cache/axe/node_modules/axe-core/axe.min.js"
SECONDS = 30.0
COMPLAINTS = ("security", "javascript", "violation")  # but not that a form was answered with 400
KEYS = {"Tab": 9, "Enter": 13}


def unavailable() -> str:
    """Return why pages cannot be examined here, or nothing."""
    if shutil.which("chromium") is None:
        # Not in tools/bootstrap.sh: 290 MB, and a desktop's libraries, for this alone.
        return "There is no chromium (Debian: apt-get install chromium, 80 MB to fetch)."
    return "" if AXE.exists() else "There is no axe-core: run tools/client_environments.sh with npm."


class Chromium:
    """One browser with one page; remembers every request that it made, and what it complained of.

    Names other than loopback's lead nowhere: what a page asked from elsewhere would not come, and is
    in ``asked`` all the same.
    """

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="lb-chromium-")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The certificate is of a cloud's own authority: that it is checked is not what this is about.
        words = (
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--no-proxy-server",
        )
        words += ("--ignore-certificate-errors", "--disable-background-networking", "--no-first-run")
        words += ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",)
        script = 'exec "$@" 3<&"$0" 4>&"$LB_OUT"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, str(to_browser), "chromium", *words, f"--user-data-dir={self._profile}"],
            env={**os.environ, "LB_OUT": str(from_browser)},
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.asked: list[str] = []  # "GET https://...", in order
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        # Tab past the end of a page leads to the window's own buttons, and the page would lose the focus.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def close(self) -> None:
        """End the browser. Safe to run again."""
        if self._process.poll() is not None:
            return
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the browser, and return what it answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._next(deadline)
            self._note(answer.get("method", ""), answer.get("params", {}))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.asked.append(f"{params['request']['method']} {params['request']['url']}")
        elif event == "Log.entryAdded" and params["entry"]["source"] in (
            "security",
            "javascript",
            "violation",
        ):
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "The browser says nothing."
            self._buffer += os.read(self._read, 65536)
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"The page never came to: {what}."
            time.sleep(0.1)

    def open(self, url: str) -> None:
        """Open a page and wait until it is whole."""
        self.call("Page.navigate", url=url)
        self.whole()

    def whole(self, words: str = "") -> None:
        """Wait until a page is loaded that has these words."""

        # The field that has the focus from the start gets it only when the page is drawn.
        focus = "(!document.querySelector('[autofocus]') || document.activeElement !== document.body)"
        ready = f"document.readyState === 'complete' && {focus} ? 'ready' : 'waits'"

        def holds() -> bool:
            state = str(self.evaluate(f"({ready}) + '\\n' + document.body?.innerText + location.href"))
            return state.startswith("ready") and words in state and "about:blank" not in state

        self.wait(words or "its end", holds)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        more = {"text": "\r"} if key == "Enter" else {}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def focused(self) -> str:
        """Return the element that has the focus: a button by what it sends, a link by where it leads."""
        button = "e.tagName === 'BUTTON' ? e.value || e.textContent"
        words = f"{button} : e.getAttribute('href') || e.name || e.tagName"
        return str(self.evaluate(f"(e => {words})(document.activeElement)"))

    def forget(self) -> None:
        """Be as a browser that was just started."""
        self.call("Network.clearBrowserCookies")
        self.open("data:text/html,")
        self.asked.clear()
        self.complaints.clear()

    def scripts(self, allowed: bool) -> None:
        """Let pages run scripts, or no longer."""
        self.call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def look(self, scheme: str, width: int = 800) -> None:
        """Prefer a light or a dark scheme, in a window that is high enough for the page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._size(width, 720)
        self._size(width, max(720, int(self.evaluate("document.documentElement.scrollHeight"))))

    def _size(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def violations(self) -> list[str]:
        """Return what axe-core, which is a script itself, finds wrong with the page."""
        self.scripts(allowed=True)
        if not self.evaluate("'axe' in window"):
            self.evaluate(AXE.read_text() + ";0")
        rules = "r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))"
        found: list[str] = self.evaluate(f"axe.run().then(r => {rules})")
        return found
