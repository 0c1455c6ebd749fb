"""A throw-away certificate authority, so that practice servers speak TLS that a client can verify."""

from __future__ import annotations

import shutil
import ssl
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme


class CertificateAuthority:
    """Signs server certificates and keeps its own in a file for clients; several servers may share one.

    The folder with the file belongs to this object: `close()` removes it, and so does the end of the object's life;
    `open()` puts it back under the same path.
    """

    def __init__(self) -> None:
        import trustme  # only servers with TLS pay for loading the cryptography

        self._authority: trustme.CA = trustme.CA()
        self._folder = Path(tempfile.mkdtemp(prefix="practice-ca-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.ca_file = self._folder / "ca.pem"
        self.open()

    def open(self) -> None:
        """Make sure that the certificate file is there."""
        if not self.ca_file.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._authority.cert_pem.write_to_path(str(self.ca_file))

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """A TLS context for a server reachable as loopback and under the given names or addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        names = dict.fromkeys(["localhost", "127.0.0.1", "::1", *hosts])
        self._authority.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A TLS context for a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def close(self) -> None:
        """Remove the certificate file."""
        shutil.rmtree(self._folder, ignore_errors=True)
