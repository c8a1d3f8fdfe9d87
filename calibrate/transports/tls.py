"""Whose certificates are trusted: the environment's authorities, else certifi's."""

from __future__ import annotations

import os
import ssl

import certifi

__all__ = ["trusted"]


def trusted() -> ssl.SSLContext:
    """Return a context that verifies servers against `SSL_CERT_FILE` or `SSL_CERT_DIR`.

    Without either it is certifi's list, since a slim container has none of its own. Raises
    `OSError` (an `ssl.SSLError` is one) where the file cannot be read as certificates.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=folder or None)
