"""Names that MLflow's tests look up, answered without a network, in every process.

Webhook addresses are resolved before they are accepted. The documentation's own host
names get a public address here; nothing is sent to it.
"""

from __future__ import annotations

import socket
from typing import Any

KNOWN = ("example.com", "example.org")
ADDRESS = "93.184.215.14"

_real = socket.getaddrinfo


def _resolve(host: Any, *rest: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host)
    known = any(name == one or name.endswith(f".{one}") for one in KNOWN)
    return _real(ADDRESS if known else host, *rest, **options)


socket.getaddrinfo = _resolve
