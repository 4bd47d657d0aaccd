"""Signing in with the browser of this desktop: authorization code with PKCE (RFC 7636, RFC 8252).

The answer comes to a port of the loopback interface that is open for this one sign-in. What
arrives there without the ``state`` that we made is not ours, and is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sys
import webbrowser
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from landbridge_agent.codes import AgentError
from landbridge_agent.jws import base64url

LIMIT_SECONDS = 300.0
MAX_HEAD = 16 * 1024
_PAGE = "<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1><p>{text}</p></html>"


class Answer(NamedTuple):
    """The code, and what it is redeemed with."""

    code: str
    verifier: str
    redirect_uri: str


def has_desktop(environment: Mapping[str, str]) -> bool:
    """Say whether a browser could be seen by whoever runs the command."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


async def sign_in(
    authorize_url: str,
    client_id: str,
    scope: str,
    say: Callable[[str], None],
    open_page: Callable[[str], bool] = webbrowser.open,
) -> Answer | None:
    """Return the code of a person who signed in; None when no browser could be opened.

    Raises:
        AgentError: AZCM0041, refused or nobody signed in in time.
    """
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    arrived: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                answer = _query(await reader.readuntil(b"\r\n\r\n"))
                ours = secrets.compare_digest(answer.get("state", "").encode(), state.encode())
                writer.write(_reply(answer, ours))
                await writer.drain()
            if ours and not arrived.done():
                arrived.set_result(answer)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MAX_HEAD)
    async with server:
        redirect_uri = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        query = {
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": scope,
            "state": state,
            "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        page = f"{authorize_url}?{urlencode(query)}"
        if not open_page(page):
            return None
        say("Sign in with the browser window that was opened.")
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                answer = await arrived
        except TimeoutError:
            raise AgentError(41, "Nobody signed in with the browser in time.", "Run it again.") from None
    if not answer.get("code"):
        why = answer.get("error_description") or answer.get("error") or "no code came back"
        raise AgentError(41, f"The sign-in failed: {why}", "Run the command again.")
    return Answer(answer["code"], verifier, redirect_uri)


def _query(head: bytes) -> dict[str, str]:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    if method != "GET":
        raise ValueError(method)
    return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


def _reply(answer: Mapping[str, str], ours: bool) -> bytes:
    good = ours and "code" in answer
    title = "You are signed in" if good else "The sign-in did not work"
    text = "You can close this window and go back to the terminal." if good else "Go back to the terminal."
    body = _PAGE.format(title=title, text=text).encode()
    status = "200 OK" if ours else "400 Bad Request"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return (head + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").encode() + body
