"""The server's certificate: the operator's own, or ours, kept valid while we serve."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from landbridge_server.ca.authority import CertificateAuthority, ensure_server_certificate
from landbridge_server.config import Config, ConfigError
from landbridge_server.edge.listener import reload_certificate, server_context

logger = logging.getLogger("landbridge")

Mark = tuple[tuple[int, int, int], ...]
"""When the files were changed, which they are, and their sizes: what tells that they are others."""


class ServerTls:
    """One TLS context for all listeners; ``renew`` changes what the next handshake shows."""

    def __init__(self, config: Config, authority: CertificateAuthority, now: float) -> None:
        """Make the context.

        Raises:
            ConfigError: the operator's certificate and key cannot be used.
        """
        self.config = config
        self.authority = authority
        certificate, key, _ = self._files(now)
        self.file = certificate
        """Where the certificate is that handshakes show."""
        self._loaded: Mark = ()
        self._refused: Mark = ()
        try:
            loaded = _mark(certificate, key)
            self.context: ssl.SSLContext = server_context(certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"The server certificate {certificate} cannot be used: {error}") from error
        self._loaded = loaded

    def _files(self, now: float) -> tuple[Path, Path, bool]:
        if self.config.tls_cert and self.config.tls_key:
            return self.config.tls_cert, self.config.tls_key, False
        return ensure_server_certificate(
            self.authority, self.config.data / "tls", self.config.server_names(), now
        )

    def renew(self, now: float) -> bool:
        """Renew our certificate when it is due, or read the operator's when a file of theirs changed.

        Files that cannot be used, as while only one of two is copied, change nothing: what was shown
        is shown on, that is logged once, and they are read again when they change.
        """
        certificate, key, _ = self._files(now)
        try:
            found = _mark(certificate, key)
        except OSError as error:
            self._keep_on(certificate, error, ())
            return False
        if found in (self._loaded, self._refused):
            return False
        try:
            reload_certificate(self.context, certificate, key)
        except (ssl.SSLError, OSError) as error:
            self._keep_on(certificate, error, found)
            return False
        self.file, self._loaded, self._refused = certificate, found, ()
        logger.info("the server certificate changed", extra={"fields": {"file": str(certificate)}})
        return True

    _complaint = ""

    def _keep_on(self, certificate: Path, error: Exception, found: Mark) -> None:
        self._refused = found
        complaint = f"{found} {error}"
        if complaint != self._complaint:
            self._complaint = complaint
            fields = {"file": str(certificate), "reason": str(error)}
            logger.error(
                "a new server certificate cannot be used; the old one stays", extra={"fields": fields}
            )


def _mark(*files: Path) -> Mark:
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in (one.stat() for one in files))
