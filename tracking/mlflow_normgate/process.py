"""Which process a run belongs to, and whether it still lives.

A process number alone is reused, so the stamp also has the machine, its boot, the
space of process numbers (containers have their own) and the process's start time.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

PROCESS_TAG = "normgate.process"
HOST_TAG = "normgate.host"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStamp:
    """Names one process of one machine for good."""

    host: str
    boot: str
    """Changes when the machine restarts; empty where unknown."""
    space: str
    """The space that the process number belongs to; empty where unknown."""
    pid: int
    started: str
    """Start time in the operating system's own words."""

    def to_json(self) -> str:
        """The stamp as a tag's value."""
        return json.dumps(asdict(self), sort_keys=True)

    def is_own(self) -> bool:
        """Whether it is the stamp of this process."""
        return self == own_stamp()

    def is_near(self) -> bool:
        """Whether this process can tell if the stamped one lives."""
        here = own_stamp()
        near = (self.host, self.boot, self.space) == (here.host, here.boot, here.space)
        return near and bool(self.started)


def parse_stamp(text: str) -> ProcessStamp | None:
    """Read a stamp, or None if the text is not one."""
    try:
        return ProcessStamp(**json.loads(text))
    except (TypeError, ValueError):
        return None


def own_stamp() -> ProcessStamp:
    """The stamp of this process."""
    return _stamp(os.getpid())


@functools.lru_cache(maxsize=4)
def _stamp(pid: int) -> ProcessStamp:
    return ProcessStamp(
        host=socket.gethostname(),
        boot=_boot(),
        space=_space(),
        pid=pid,
        started=start_time(pid) or "",
    )


def is_dead(stamp: ProcessStamp) -> bool:
    """Whether the process has certainly ended: never guessed for other machines.

    After a restart of the machine the boot differs; two machines may share a host
    name, so that alone is no proof, and such a run is left as it is.
    """
    return stamp.is_near() and start_time(stamp.pid) != stamp.started


def start_time(pid: int) -> str | None:
    """When a process started, opaque; None if there is none (a zombie counts so)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
