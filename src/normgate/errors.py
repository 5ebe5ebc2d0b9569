"""Every error that a caller of normgate may catch, under one root.

A message is one sentence or two for a person: what was found, what was expected,
which file, channel, row or value is the culprit, and what to do next.
"""

from __future__ import annotations


class NormgateError(Exception):
    """The root: anything that a user can mend, said in one sentence."""


class SpecError(NormgateError):
    """A spec, one of its channels or one of its steps is not valid."""


class ContractError(NormgateError):
    """A contract is not valid, or is missing where one is demanded."""


class DataError(NormgateError):
    """A plate table, an image or a mask is not what was declared."""


class CorruptImage(DataError):  # noqa: N818 - named for what is wrong with the file
    """One image can't be read; a long job quarantines it and goes on."""


class FingerprintMismatch(NormgateError):  # noqa: N818
    """What a loader applies is not what its spec declares."""


class BundleError(NormgateError):
    """A model bundle is incomplete, altered or of another format."""


class SettingsError(NormgateError):
    """A parameter of an entry point is missing, malformed or out of range."""


class TrackingError(NormgateError):
    """The tracking server or registry can't do what a run needs of it."""


class PromotionRefused(NormgateError):  # noqa: N818
    """The gate refused a promotion; the message carries every reason."""


class DigestMismatch(NormgateError):  # noqa: N818
    """Rows or bytes of different digests were brought together."""


class Pruned(NormgateError):  # noqa: N818
    """A trial of a study was given up before its end; the message says why."""


class Interrupted(NormgateError):  # noqa: N818
    """A run was asked to stop by a signal and has left a checkpoint.

    Args:
        signal_number: The signal that was received, as in `signal.Signals`.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}; run again to resume")
        self.signal_number = signal_number
