"""A visitor of web pages without a browser: follows forms, keeps cookies, runs no script."""

from __future__ import annotations

import http.cookiejar
import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path


class FirstForm(HTMLParser):
    """The first form of a page: where it goes, its fields, and its first button."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._button_seen = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = given.get("action", "")
        elif tag == "input" and given.get("name") and given.get("type") not in ("submit", "button"):
            self.fields[given["name"]] = given.get("value", "")
        elif tag in ("button", "input") and not self._button_seen and given.get("name"):
            self._button_seen = True
            self.fields[given["name"]] = given.get("value", "")


class Visitor:
    """One person's visit."""

    def __init__(self, ca_file: Path, authenticator: Path | None = None) -> None:
        """``authenticator`` is a file with the secret of a second factor; there need not be one."""
        self._authenticator = authenticator
        trust = ssl.create_default_context(cafile=str(ca_file))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=trust),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )

    def approve(self, url: str, code: str, user: str, password: str, deny: bool = False) -> str:
        """Fill in every form that comes until none does; return the last page.

        Hidden fields are sent back as they came; the first button is the one pressed, or, to ``deny``,
        the one that turns the program away as soon as there is one.
        """
        typed = {"code": code, "user": user, "pass": password}
        page, url = self._open(url)
        for _ in range(5):
            form = FirstForm(page)
            if form.action is None:
                return page
            if deny and "password" in form.fields:
                form.fields |= {"action": "deny"}
            if "otp" in form.fields:
                form.fields["otp"] = self._otp()
            for name, value in form.fields.items():
                word = next((word for word in ("pass", "code", "user") if word in name.lower()), None)
                if word and not value:
                    form.fields[name] = typed[word]
            page, url = self._open(urllib.parse.urljoin(url, form.action), form.fields)
        raise AssertionError(f"The forms have no end:\n{page}")

    def _otp(self) -> str:
        """Read the authenticator; a code counts once, so that the next one is read the next time."""
        from landbridge_server.identity.second_factor import STEP, code_at

        assert self._authenticator is not None, "A code is asked for."
        known = json.loads(self._authenticator.read_text())
        now = int(time.time() // STEP)
        step = next(step for step in (now, now + 1, now - 1) if step not in known["used"])
        self._authenticator.write_text(json.dumps({**known, "used": [*known["used"], step]}))
        return code_at(known["secret"], step)

    def _open(self, url: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        try:
            with self._opener.open(url, data=data, timeout=30) as answer:
                return answer.read().decode(), answer.url
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url} answered {error.code}:\n{error.read().decode()}") from error


def main() -> None:
    """Visit a page as the administrator of a control plane: CA-FILE ADMIN.JSON URL [USER-CODE [deny]].

    The secret of the administrator's second factor is beside ADMIN.JSON, in authenticator.json.
    """
    ca_file, admin_file, url, *more = sys.argv[1:]
    admin = json.loads(Path(admin_file).read_text())
    visitor = Visitor(Path(ca_file), Path(admin_file).with_name("authenticator.json"))
    print(
        visitor.approve(url, *(more[:1] or [""]), admin["userName"], admin["password"], deny="deny" in more)
    )


if __name__ == "__main__":
    main()
