"""The server's certificate: the operator's own, or ours, kept valid while we serve."""

from __future__ import annotations

import ssl
from pathlib import Path

from landbridge_server.ca.authority import CertificateAuthority, ensure_server_certificate
from landbridge_server.config import Config, ConfigError
from landbridge_server.edge.listener import reload_certificate, server_context


class ServerTls:
    """One TLS context for all listeners; ``renew`` changes what the next handshake shows."""

    def __init__(self, config: Config, authority: CertificateAuthority, now: float) -> None:
        """Make the context.

        Raises:
            ConfigError: the operator's certificate and key cannot be used.
        """
        self.config = config
        self.authority = authority
        self._loaded = 0.0
        certificate, key, _ = self._files(now)
        self.file = certificate
        """Where the certificate is that handshakes show."""
        try:
            self.context: ssl.SSLContext = server_context(certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"The server certificate {certificate} cannot be used: {error}") from error
        self._loaded = certificate.stat().st_mtime

    def _files(self, now: float) -> tuple[Path, Path, bool]:
        if self.config.tls_cert and self.config.tls_key:
            return self.config.tls_cert, self.config.tls_key, False
        return ensure_server_certificate(
            self.authority, self.config.data / "tls", self.config.server_names(), now
        )

    def renew(self, now: float) -> bool:
        """Renew our certificate when it is due, or read the operator's when its file changed."""
        certificate, key, _ = self._files(now)
        changed = certificate.stat().st_mtime
        if changed == self._loaded:
            return False
        reload_certificate(self.context, certificate, key)
        self.file, self._loaded = certificate, changed
        return True
