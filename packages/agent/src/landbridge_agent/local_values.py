"""How the values of ``azcmagent config`` are read: each function takes the property's name and text.

All raise ``InvalidSetting``, whose text says what would fit.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

Value = bool | int | str | list[str]

BYPASS_WORDS = ("AAD", "ARM", "AMA", "Arc", "ArcData")
"""Names of services that ``proxy.bypass`` takes, as the original writes them."""

ALLOW_NONE = "Allow/None"
MAX_TEXT = 2048
MAX_ENTRIES = 256

_EXTENSION = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*/[A-Za-z0-9_.-]+")
_SUFFIX = re.compile(r"(\*\.|\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
_PASSWORD = re.compile(r"(?<=://)[^/?#]*@")


class InvalidSetting(ValueError):
    """A value does not fit its property; the text says what would."""


def switch(name: str, text: str) -> bool:
    """Read true or false."""
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise InvalidSetting(f"{name} is true or false, not '{text}'.")
    return word == "true"


def choice(name: str, text: str, words: Sequence[str]) -> str:
    """Read one of some words, in any case."""
    word = text.strip().lower()
    if word not in words:
        raise InvalidSetting(f"{name} is {' or '.join(words)}, not '{text[:80]}'.")
    return word


def connection_type(name: str, text: str) -> str:
    """Read how the agent connects; a gateway is refused, as there is none."""
    if text.strip().lower() == "gateway":
        raise InvalidSetting(f"{name}: this cloud has no gateway. Use default, direct, or proxy.url.")
    return choice(name, text, ("default", "direct"))


def percent(name: str, text: str) -> int:
    """Read a share of the CPU."""
    word = text.strip().removesuffix("%")
    if not word.isascii() or not word.isdigit() or len(word) > 3 or not 1 <= int(word) <= 100:
        raise InvalidSetting(f"{name} takes a percentage from 1 to 100, not '{text[:80]}'.")
    return int(word)


def _words(name: str, text: str) -> list[str]:
    """Split a list: commas or spaces, perhaps in brackets."""
    words = text.strip().strip("[]").replace(",", " ").split()
    if len(words) > MAX_ENTRIES:
        raise InvalidSetting(f"{name} takes at most {MAX_ENTRIES} entries.")
    return words


def _once(words: Sequence[str]) -> list[str]:
    """Return the words without those that came before in another case."""
    return list({word.lower(): word for word in reversed(words)}.values())[::-1]


def ports(name: str, text: str) -> list[str]:
    """Read a list of ports."""
    found = []
    for word in _words(name, text):
        if not word.isascii() or not word.isdigit() or len(word) > 5 or not 1 <= int(word) <= 65535:
            raise InvalidSetting(
                f"{name} takes ports from 1 to 65535, such as 22,2222; '{word[:80]}' is none."
            )
        found.append(str(int(word)))
    return list(dict.fromkeys(found))


def extensions(name: str, text: str) -> list[str]:
    """Read a list of extensions, Publisher/Type."""
    found = _words(name, text)
    for word in found:
        if len(word) > 256 or not _EXTENSION.fullmatch(word):
            raise InvalidSetting(
                f"{name} takes Publisher/Type, such as Microsoft.Azure.Extensions/CustomScript; "
                f"'{word[:80]}' is none."
            )
    return _once([ALLOW_NONE if word.lower() == ALLOW_NONE.lower() else word for word in found])


def check_allow_none(name: str, value: list[str], *, allowlist: bool) -> None:
    """Check that Allow/None stands alone, and in the allowlist."""
    if ALLOW_NONE not in value:
        return
    if not allowlist:
        raise InvalidSetting(f"{ALLOW_NONE} belongs into extensions.allowlist, not into {name}.")
    if len(value) > 1:
        raise InvalidSetting(f"{ALLOW_NONE} stands alone in {name}: it means that nothing is allowed.")


def bypass(name: str, text: str) -> list[str]:
    """Read what the proxy is not for: services, names, addresses, networks; ``clear`` for nothing."""
    words = _words(name, text)
    if [word.lower() for word in words] == ["clear"]:
        return []
    services = {word.lower(): word for word in BYPASS_WORDS}
    found = []
    for word in words:
        if word.lower() in services:
            found.append(services[word.lower()])
        elif word == "*" or is_network(word) or (len(word) <= 253 and _SUFFIX.fullmatch(word)):
            found.append(word)
        else:
            raise InvalidSetting(
                f"{name} takes {', '.join(BYPASS_WORDS)}, names such as .example.com, addresses and "
                f"networks such as 10.0.0.0/8; '{word[:80]}' is none."
            )
    return _once(found)


def is_network(word: str) -> bool:
    """Whether a word is an IP address or a network in CIDR notation."""
    try:
        ipaddress.ip_network(word.strip("[]"), strict=False)
    except ValueError:
        return False
    return True


def proxy_url(name: str, text: str) -> str:
    """Read the URL of an HTTP proxy; empty for none. No text ever repeats its password."""
    url = text.strip()
    if not url:
        return ""
    if "://" not in url:
        url = "http://" + url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidSetting(f"{name}: that is no URL, or its port is none from 1 to 65535.") from None
    _check_proxy(name, url, parts)
    if port == 0:
        raise InvalidSetting(f"{name}: 0 is no port.")
    return url.rstrip("/")


def _check_proxy(name: str, url: str, parts: SplitResult) -> None:
    example = "such as http://proxy.example:3128 or http://user:password@proxy.example:3128"
    if len(url) > MAX_TEXT or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidSetting(f"{name} is a URL of printable characters, {example}.")
    if parts.scheme != "http":
        raise InvalidSetting(
            f"{name} begins with http://, {example}; what goes through it is encrypted all the same."
        )
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidSetting(f"{name} is a URL with a host and no path, {example}.")
    if parts.netloc.count("@") > 1:
        raise InvalidSetting(f"{name}: write an '@' in the password as %40.")


def without_password(text: str) -> str:
    """Return a URL whose user and password, if it has some, are masked."""
    return _PASSWORD.sub("***@", text)
