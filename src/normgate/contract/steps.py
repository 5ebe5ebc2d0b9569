"""Steps: one arithmetic operation on one channel, with its constants.

Steps with fixed constants (`clip`, `rescale`, `standardize`, `scale`, `arcsinh`,
`log1p`) compute the same on every image. Per-sample steps (`standardize_sample`,
`rescale_sample`) measure each sample first, and name everything that decides the
result: scope, masks, ddof, percentile method, eps and what a degenerate range gives.

A constant is a decimal and means exactly that decimal. A float32 source is read by
its shortest float32 decimal. What steps mean together is `normal_form`'s matter.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral, Real
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_DIGITS = 40
MAX_EXPONENT = 60


class Closed(BaseModel):
    """A frozen value with no unknown keys, no coercion and no infinities."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


def exact(value: object) -> Decimal:
    """Read a number as the decimal that a person sees.

    Args:
        value: An int, Decimal, float or NumPy scalar; a float counts as its shortest
            decimal (float32 scalars as their shortest float32 decimal).

    Returns:
        The decimal in its shortest spelling: 963, 963.0 and 9.63e2 are one.

    Raises:
        ValueError: For text, booleans, NaN, infinities, and numbers of more than
            40 digits or beyond 1e60.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | Real):
        raise ValueError(f"expected a number, found {value!r}")
    if isinstance(value, Integral):
        value = int(value)
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"expected a finite number, found {number}")
    if number == 0:
        return Decimal(0)
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise ValueError(f"expected at most {MAX_DIGITS} digits, found {number}")
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"expected a size within 1e±{MAX_EXPONENT}, found {number}")
    sign, digits, exponent = number.as_tuple()
    kept = "".join(map(str, digits)).rstrip("0")
    shift = len(digits) - len(kept)
    return Decimal((sign, tuple(map(int, kept)), int(exponent) + shift))


Constant = Annotated[Decimal, BeforeValidator(exact)]


class Clip(Closed):
    """`min(max(x, low), high)`, in the units of the step's input."""

    kind: Literal["clip"] = "clip"
    low: Constant
    high: Constant

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        _ordered(self.low, self.high)
        return self


class Rescale(Closed):
    """`(x - low) / (high - low)`: low goes to 0, high to 1; nothing is clipped."""

    kind: Literal["rescale"] = "rescale"
    low: Constant
    high: Constant

    @model_validator(mode="after")
    def _ordered(self) -> Rescale:
        _ordered(self.low, self.high)
        return self


class Standardize(Closed):
    """`(x - mean) / std`."""

    kind: Literal["standardize"] = "standardize"
    mean: Constant
    std: Constant

    @model_validator(mode="after")
    def _positive(self) -> Standardize:
        if self.std <= 0:
            raise ValueError(f"std {self.std} must be above 0")
        return self


class Scale(Closed):
    """`x * gain + offset`."""

    kind: Literal["scale"] = "scale"
    gain: Constant
    offset: Constant

    @model_validator(mode="after")
    def _not_constant(self) -> Scale:
        if self.gain == 0:
            raise ValueError("gain 0 would erase the channel")
        return self


class Arcsinh(Closed):
    """`arcsinh(x / cofactor)`; usual cofactors are 1 (IMC) and 5 (suspension)."""

    kind: Literal["arcsinh"] = "arcsinh"
    cofactor: Constant

    @model_validator(mode="after")
    def _positive(self) -> Arcsinh:
        if self.cofactor <= 0:
            raise ValueError(f"cofactor {self.cofactor} must be above 0")
        return self


class Log1p(Closed):
    """`log(1 + x)`, the natural logarithm; x must stay above -1."""

    kind: Literal["log1p"] = "log1p"


class Mask(Closed):
    """Which pixels of the step's input count: all, those != 0, or those > value."""

    kind: Literal["all", "nonzero", "above"] = "all"
    value: Constant | None = None

    @model_validator(mode="after")
    def _value_where_needed(self) -> Mask:
        if (self.kind == "above") != (self.value is not None):
            raise ValueError("a mask has a value exactly when its kind is 'above'")
        return self


class SampleStep(Closed):
    """What both per-sample steps must settle."""

    scope: Literal["channel", "image"]
    """Statistics of each channel alone, or of all channels of the sample together."""
    fit_mask: Mask
    """The pixels that statistics are measured on."""
    apply_mask: Mask
    """The pixels that are changed."""
    outside: Literal["keep", "zero"]
    """What a pixel outside `apply_mask` becomes."""
    eps: Constant
    """Added to, or a floor under, the divisor; 0 for none."""
    eps_placement: Literal["add", "max"]
    """`divisor + eps`, or `max(divisor, eps)`."""
    degenerate: Literal["zeros", "center", "raise"]
    """For a divisor of 0 or no pixel to measure: zeros, x - center, or an error."""

    @model_validator(mode="after")
    def _eps_not_negative(self) -> SampleStep:
        if self.eps < 0:
            raise ValueError(f"eps {self.eps} must not be below 0")
        return self


class StandardizeSample(SampleStep):
    """`(x - mean) / std` with the mean and std of the sample itself."""

    kind: Literal["standardize_sample"] = "standardize_sample"
    ddof: Literal[0, 1]
    """0 as numpy's std, 1 as torch's."""


class RescaleSample(SampleStep):
    """`(x - low) / (high - low)` with percentiles of the sample itself."""

    kind: Literal["rescale_sample"] = "rescale_sample"
    low_percentile: Constant
    high_percentile: Constant
    method: Literal["linear", "inverted_cdf"]
    """As in `numpy.percentile`."""
    clip: bool
    """Whether the result is clipped to 0..1."""

    @model_validator(mode="after")
    def _percentiles(self) -> RescaleSample:
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError(
                f"percentiles {self.low_percentile} and {self.high_percentile} "
                "must rise within 0..100"
            )
        return self


FixedStep = Clip | Rescale | Standardize | Scale | Arcsinh | Log1p
Step = Annotated[
    FixedStep | StandardizeSample | RescaleSample, Field(discriminator="kind")
]


def _ordered(low: Decimal, high: Decimal) -> None:
    if not low < high:
        raise ValueError(f"low {low} must be below high {high}")
