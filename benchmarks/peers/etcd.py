"""etcd (Debian's etcd-server) by its JSON gateway, over TLS, with authentication."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

from benchmarks.cloud import make_certificate
from benchmarks.load import Ask
from quickstart.ports import find_free
from running import ENVIRONMENT, short_folder

ROWS = 1_000
PASSWORD = "benchmark"


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Etcd:
    """A store of 1,000 keys with values of a kilobyte, and a user."""

    def __init__(self) -> None:
        """Start it, fill it, and switch authentication on."""
        self.folder = short_folder()
        certificate, key = make_certificate(self.folder)
        self.port = find_free()
        argv = ["etcd", "--data-dir", self.folder / "data", "--logger", "zap", "--log-level", "error"]
        argv += ["--cert-file", certificate, "--key-file", key, "--listen-client-urls", self.url]
        argv += ["--advertise-client-urls", self.url, "--listen-peer-urls", f"http://127.0.0.1:{find_free()}"]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
        )
        self._send("/v3/kv/range", {"key": _b64("x")}, tries=100)
        for number in range(ROWS):
            self._send("/v3/kv/put", {"key": _b64(f"row{number:06}"), "value": _b64("x" * 1000)})
        self._send("/v3/auth/user/add", {"name": "root", "password": PASSWORD})
        self._send("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self._send("/v3/auth/enable", {})
        token = self._send("/v3/auth/authenticate", {"name": "root", "password": PASSWORD})["token"]
        self.headers = {"Authorization": str(token), "Content-Type": "application/json"}

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [self.process.pid]

    def get(self, number: int) -> Ask:
        """Read one key."""
        return Ask("POST", "/v3/kv/range", json.dumps({"key": _b64(f"row{number:06}")}))

    def put(self) -> Ask:
        """Write one key: the number's digits are base64 themselves."""
        return Ask("POST", "/v3/kv/put", json.dumps({"key": "{n}", "value": _b64("x" * 1000)}))

    def page(self) -> Ask:
        """List 1,000 keys."""
        body = {"key": _b64("row"), "range_end": _b64("rox"), "limit": 1000}
        return Ask("POST", "/v3/kv/range", json.dumps(body))

    def _send(self, path: str, body: dict[str, str], tries: int = 1) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())
        for attempt in range(tries):
            try:
                with opener.open(request, timeout=10) as answer:
                    found: dict[str, Any] = json.loads(answer.read())
                    return found
            except urllib.error.URLError:
                if attempt + 1 == tries:
                    raise
                time.sleep(0.1)
        raise TimeoutError

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)
