"""Sends what spools still hold, after an outage or a death: `normgate sync FOLDER`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow import MlflowClient

from mlflow_normgate.replay import Connect, Replay, Unreachable
from mlflow_normgate.spool import Spool, spools
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from pathlib import Path

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What became of one spool."""

    folder: Path
    sent: int
    """Records that the server took now."""
    waiting: int
    """Records that still wait."""
    refused: int
    """Values that the server never takes; they are in `refused.jsonl`."""
    busy: bool = False
    """Another process writes or sends it."""
    problem: str = ""
    """Why records still wait."""


def sync_folder(
    root: Path,
    *,
    tracking_uri: str | None = None,
    connect: Connect = MlflowClient,
) -> list[Synced]:
    """Send every spool under a folder that no other process has in hand.

    Args:
        root: A folder of spools, or one spool.
        tracking_uri: Where to send instead of where each spool was meant for.
        connect: Makes a client of a tracking address.

    Returns:
        One result a spool; a spool that was sent whole is removed.

    Raises:
        TrackingError: There is no such folder.
    """
    if not root.is_dir():
        raise TrackingError(f"{root} is not a folder; name the folder of the spools")
    away: set[str] = set()
    return [_sync_one(spool, tracking_uri, connect, away) for spool in spools(root)]


def _sync_one(
    spool: Spool, tracking_uri: str | None, connect: Connect, away: set[str]
) -> Synced:
    """Send one spool; a server found away is not asked again for the next."""
    if not spool.acquire():
        return Synced(folder=spool.folder, sent=0, waiting=0, refused=0, busy=True)
    try:
        return _send(spool, tracking_uri, connect, away)
    finally:
        spool.release()


def _send(
    spool: Spool, tracking_uri: str | None, connect: Connect, away: set[str]
) -> Synced:
    before = spool.waiting()
    replay = Replay(spool, connect, tracking_uri)
    problem = ""
    try:
        uri = tracking_uri or spool.header().tracking_uri
        if uri in away:
            problem = f"{uri} is away"
        else:
            replay.send()
    except Unreachable as error:
        away.add(uri)
        problem = str(error)[:300]
    except TrackingError as error:
        problem = str(error)
    waiting = spool.waiting()
    refused = spool.progress().refused
    if not problem and not waiting and not refused:
        spool.remove()
    return Synced(
        folder=spool.folder,
        sent=before - waiting,
        waiting=waiting,
        refused=refused,
        problem=problem,
    )
