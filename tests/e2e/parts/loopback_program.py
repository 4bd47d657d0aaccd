"""What ``az`` does while a person signs in: listens on loopback for the answer that the browser brings."""

from __future__ import annotations

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from landbridge_server.identity.clients import AZURE_CLI
from running import ControlPlane

THANKS = "The program has your answer"


class Program:
    """Keeps what it was sent, by form or by query."""

    def __init__(self) -> None:
        self.got: list[dict[str, list[str]]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                got.append(parse_qs(self.rfile.read(length).decode()))
                self._thank()

            def do_GET(self) -> None:
                if self.path != "/favicon.ico":
                    got.append(parse_qs(urlsplit(self.path).query))
                self._thank()

            def _thank(self) -> None:
                body = f"<!doctype html><title>Done</title><p>{THANKS}.</p>".encode()
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        # A browser connects before it has something to say: one such must not keep the others waiting.
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def url(self, cloud: ControlPlane, mode: str, **changes: str) -> str:
        """Return what it has the browser open."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": AZURE_CLI,
            "response_type": "code",
            "response_mode": mode,
            "redirect_uri": self.address,
            "scope": f"{cloud.admin.url}/.default offline_access openid profile",
            "state": "s",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{cloud.admin.url}/organizations/oauth2/v2.0/authorize?{urlencode(asked)}"
