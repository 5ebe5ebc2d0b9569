"""Faults of a demonstration's plate table, as they were made with real ones.

Pictures stay what they are; the table says something else of them. `label_is_plate`
also takes the biology away (`demo` simulates healthy neurons only), so that whatever a
model then tells apart is the plate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

from normgate.plates.fates import fate_of
from normgate.plates.schema import PATH_PREFIX, markers

if TYPE_CHECKING:
    import pandas as pd

Fault = Literal[
    "none",
    "label_is_plate",
    "classes_exchanged",
    "rows_shuffled",
    "column_from_row_letter",
]
_EXCHANGED = {"WT": "APP", "APP": "WT"}


def with_fault(frame: pd.DataFrame, fault: Fault, seed: int = 0) -> pd.DataFrame:
    """A plate table with a fault; the table that was given stays as it is.

    Args:
        frame: Rows of a demonstration.
        fault: `label_is_plate` labels controls of odd plates WT and of even ones APP;
            `classes_exchanged` exchanges the two labels; `rows_shuffled` gives every
            row another's pictures; `column_from_row_letter` looks a well's contents up
            by its row, as a script did that took the column from the letter.
        seed: Decides how rows are shuffled.
    """
    frame = frame.copy()
    control = frame["label"] != ""
    match fault:
        case "none":
            pass
        case "label_is_plate":
            odd = frame["plate"].str.lstrip("P").astype(int) % 2 == 1
            frame["genotype"] = np.where(odd, "WT", "APP")
            frame["label"] = frame["genotype"].where(control, "")
        case "classes_exchanged":
            frame["label"] = frame["label"].map(lambda name: _EXCHANGED.get(name, name))
        case "rows_shuffled":
            paths = [PATH_PREFIX + marker for marker in markers(frame)]
            order = np.random.default_rng(seed).permutation(len(frame))
            frame[paths] = frame[paths].to_numpy()[order]
        case "column_from_row_letter":
            fates = [fate_of(int(row)) for row in frame["row"]]
            for name in ("genotype", "treatment", "label"):
                frame[name] = [getattr(fate, name) for fate in fates]
        case _:
            assert_never(fault)
    return frame
