"""The instrument's own files, by readimc: .mcd and .txt of imaging mass cytometry.

Both name their channels, by metal and by what was typed in as a label. A .mcd holds
several acquisitions; one is named by its number. A file is opened inside of `closing`,
for readimc leaves it open where its head is not understood.
"""

from __future__ import annotations

import warnings
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from readimc import MCDFile, TXTFile

from normgate.acquisitions.panel import marker_of
from normgate.acquisitions.stack import corrupt, stack_of
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from normgate.acquisitions.panel import Marker
    from normgate.acquisitions.stack import Stack


def read_mcd(path: Path, part: str = "") -> Stack:
    """Read one acquisition of a .mcd file.

    Args:
        path: The file.
        part: The acquisition's number; empty where there is one.

    Raises:
        CorruptImage: The file is missing, cut short or no .mcd.
        DataError: There is no such acquisition, or several and none is named.
    """
    with _reading(path, "a .mcd"), closing(MCDFile(path)) as file:
        file.open()
        found = {str(a.id): a for slide in file.slides for a in slide.acquisitions}
        if part not in found and not (len(found) == 1 and not part):
            raise DataError(
                f"{path} has acquisitions {', '.join(found)}; name one of them, as "
                f"{path.name}#acquisition={next(iter(found), 1)}"
            )
        chosen = found[part] if part else next(iter(found.values()))
        values = file.read_acquisition(chosen)
        place = f"{path}#acquisition={chosen.id}"
        return stack_of(values, _markers(chosen), place)


def read_txt(path: Path) -> Stack:
    """Read a .txt file: a table with a line for each pixel.

    Raises:
        CorruptImage: The file is missing, cut short or no table of IMC.
    """
    with _reading(path, "an IMC .txt"), closing(TXTFile(path)) as file:
        file.open()
        return stack_of(file.read_acquisition(), _markers(file), str(path))


def list_mcd(path: Path) -> tuple[tuple[str, str], ...]:
    """Number and description of each acquisition of a .mcd file.

    Raises:
        CorruptImage: As `read_mcd`.
    """
    with _reading(path, "a .mcd"), closing(MCDFile(path)) as file:
        file.open()
        return tuple(
            (str(one.id), one.description or "")
            for slide in file.slides
            for one in slide.acquisitions
        )


def _markers(source: Any) -> list[Marker]:
    """The marker of each channel, whose metal the file tells by itself."""
    return [
        marker_of(label or "", tag)
        for tag, label in zip(source.channel_names, source.channel_labels, strict=True)
    ]


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever the reader raises or warns of is a corrupt image, named."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            yield
    except (DataError, CorruptImage):
        raise
    except OSError as error:
        raise corrupt(path, kind, error.strerror or error) from error
    except Exception as error:
        raise corrupt(path, kind, error) from error
