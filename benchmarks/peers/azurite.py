"""Azurite (npm): Microsoft's own emulator of table storage, over HTTPS with SharedKey."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import time
import urllib.request
from email.utils import formatdate
from pathlib import Path

from benchmarks import CLONE
from benchmarks.cloud import make_certificate
from benchmarks.load import Ask
from quickstart.ports import find_free
from running import ENVIRONMENT, short_folder

VERSION = "3.35.0"
ACCOUNT = "devstoreaccount1"
# The emulator's well-known key: the same for everybody, in its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
TABLE = "benchmark"
ROWS = 1_000


def installed() -> Path:
    """Return the program, fetched once into the tree's cache."""
    folder = CLONE / ".cache/benchmarks/azurite"
    program = folder / "node_modules/.bin/azurite-table"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, f"azurite@{VERSION}"]
        subprocess.run(argv, check=True, capture_output=True, env=ENVIRONMENT, timeout=600)
    return program


class Azurite:
    """A table with 1,000 entities of about a kilobyte."""

    def __init__(self) -> None:
        """Start it and fill the table."""
        self.folder = short_folder()
        certificate, key = make_certificate(self.folder)
        self.port = find_free()
        argv = [installed(), "--tableHost", "127.0.0.1", "--tablePort", str(self.port), "--silent"]
        argv += ["--location", self.folder, "--cert", certificate, "--key", key, "--disableTelemetry"]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
        )
        self.date = formatdate(usegmt=True)
        self._send(Ask("POST", f"/{ACCOUNT}/Tables", f'{{"TableName":"{TABLE}"}}'), tries=100)
        for number in range(ROWS):
            self._send(self.create(f"row{number:04}"))

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [self.process.pid]

    def signed(self, ask: Ask) -> Ask:
        """Return a request with the headers that let it in."""
        path = ask.path.partition("?")[0]
        kind = "application/json" if ask.body else ""
        text = f"{ask.method}\n\n{kind}\n{self.date}\n/{ACCOUNT}{path}"
        signature = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
        headers = {
            "x-ms-date": self.date,
            "x-ms-version": "2019-02-02",
            "accept": "application/json;odata=nometadata",
            "authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
        }
        if kind:
            headers |= {"content-type": kind, "prefer": "return-no-content"}
        return Ask(ask.method, ask.path, ask.body, headers)

    def get(self, number: int) -> Ask:
        """Read one entity."""
        return self.signed(Ask("GET", f"/{ACCOUNT}/{TABLE}(PartitionKey='p',RowKey='row{number:04}')"))

    def create(self, row: str = "{n}") -> Ask:
        """Create an entity."""
        body = f'{{"PartitionKey":"p","RowKey":"{row}","Document":"{"x" * 1000}"}}'
        return self.signed(Ask("POST", f"/{ACCOUNT}/{TABLE}", body))

    def page(self) -> Ask:
        """List 1,000 entities."""
        return self.signed(Ask("GET", f"/{ACCOUNT}/{TABLE}()?$top=1000"))

    def _send(self, ask: Ask, tries: int = 1) -> None:
        import ssl

        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        ask = ask if ask.headers else self.signed(ask)
        request = urllib.request.Request(
            self.url + ask.path, ask.body.encode(), dict(ask.headers), method=ask.method
        )
        for attempt in range(tries):
            try:
                opener.open(request, timeout=10).close()
                return
            except urllib.error.URLError:
                if attempt + 1 == tries:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)
