"""The names that clients ask a gateway for, and the way back to the workflows."""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import quote, unquote

__all__ = ["LONGEST", "RULE", "kubernetes_name", "public_name", "workflow_of"]

LONGEST = 200
RULE = (
    f"a name must be valid Unicode and have 1 to {LONGEST} characters once everything but "
    "letters, digits and `-._` is percent-encoded"
)
_DIGEST = re.compile(r"(^|-)[0-9a-f]{10}$")
_KUBERNETES = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def public_name(workflow: str) -> str | None:
    """Return the name that every gateway can carry for a workflow, or None where there is none.

    Letters, digits and `-._` stay; any other byte of the UTF-8 text is percent-encoded, so that
    no separator, wildcard or template sign of a gateway is left and no two names meet.
    """
    try:
        name = quote(workflow, safe="").replace("~", "%7E")
    except UnicodeEncodeError:
        return None
    return name if 1 <= len(name) <= LONGEST else None


def workflow_of(name: str) -> str:
    """Return the workflow that a public name stands for."""
    return unquote(name)


def kubernetes_name(text: str) -> str:
    """Return a name for a Kubernetes object: `text` where it is one, else a slug and a digest."""
    if _KUBERNETES.fullmatch(text) and not _DIGEST.search(text):
        return text
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower())[:29].strip("-")
    digest = sha256(text.encode()).hexdigest()[:10]
    return f"{slug}-{digest}" if slug else digest
