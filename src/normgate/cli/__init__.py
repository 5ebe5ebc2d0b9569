"""The `normgate` command: specs, contracts, the ledger and the server.

It needs no torch, so it runs on a laptop without a training environment and on a
tracking server. A module holds one group of commands; `root` puts them together. Work
on data and models has its own entries in MLproject.
"""

from __future__ import annotations

from normgate.cli.root import main

__all__ = ["main"]
