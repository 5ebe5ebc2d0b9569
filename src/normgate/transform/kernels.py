"""Compiled loops: the only module that needs Numba.

All release the interpreter lock and take flat contiguous arrays. None may use
fast-math, and LLVM does not fuse multiply and add without it, so their bits are those
of the NumPy expressions beside them; tests look for fused instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def clamp_affine(x, out, low, high, gain, offset):  # type: ignore[no-untyped-def]
    """Write `float32(clamp(x, low, high) * gain + offset)`, in binary64 until then."""
    for i in range(x.size):
        value = np.float64(x[i])
        value = low if value < low else value
        value = high if value > high else value
        out[i] = np.float32(value * gain + offset)


@compiled
def gather(x, out, table, first):  # type: ignore[no-untyped-def]
    """Write `table[x - first]`; the table covers every value of x's dtype."""
    for i in range(x.size):
        out[i] = table[np.uintp(np.int64(x[i]) - first)]


@compiled
def all_finite(x):  # type: ignore[no-untyped-def]
    """Tell whether no value is NaN or infinite."""
    bits = x.view(np.uint32)
    worst = np.uint32(0)
    for i in range(bits.size):
        worst = max(worst, bits[i] & np.uint32(0x7FFFFFFF))
    return worst < np.uint32(0x7F800000)


@compiled
def count(x, counts, first):  # type: ignore[no-untyped-def]
    """Add the count of every value of x to counts[value - first]."""
    if x.size < 1 << 17:
        for i in range(x.size):
            counts[np.uintp(np.int64(x[i]) - first)] += 1
        return
    # Two partial histograms: equal neighbours would wait for each other's store.
    # Unsigned places: a signed one would be tested for counting from the end.
    even = np.zeros(counts.size, dtype=np.uint32)
    odd = np.zeros(counts.size, dtype=np.uint32)
    for start in range(0, x.size, 1 << 31):
        part = x[start : start + (1 << 31)]
        for i in range(part.size // 2):
            even[np.uintp(np.int64(part[2 * i]) - first)] += np.uint32(1)
            odd[np.uintp(np.int64(part[2 * i + 1]) - first)] += np.uint32(1)
        if part.size % 2:
            even[np.uintp(np.int64(part[part.size - 1]) - first)] += np.uint32(1)
        for value in range(counts.size):
            counts[value] += np.int64(even[value]) + np.int64(odd[value])
            even[value] = np.uint32(0)
            odd[value] = np.uint32(0)


@compiled
def count_masked(x, mask, counts, first):  # type: ignore[no-untyped-def]
    """Add the count of every value of x where the mask is true."""
    for i in range(x.size):
        if mask[i]:
            counts[np.uintp(np.int64(x[i]) - first)] += 1


@compiled
def count_high(bits, mask, parts):  # type: ignore[no-untyped-def]
    """Add count, sum and sum of squares of the low halves, by high half.

    Args:
        bits: Float32 patterns as uint32.
        mask: Booleans like bits, or an array of size 0 for all.
        parts: Uint64 (65536, 3), written.
    """
    for i in range(bits.size):
        if mask.size == 0 or mask[i]:
            high = bits[i] >> np.uint32(16)
            low = np.uint64(bits[i] & np.uint32(0xFFFF))
            parts[high, 0] += np.uint64(1)
            parts[high, 1] += low
            parts[high, 2] += low * low


@compiled
def count_low(bits, mask, slots, counts):  # type: ignore[no-untyped-def]
    """Count low halves of patterns whose high half has a slot.

    Args:
        bits: Float32 patterns as uint32.
        mask: Booleans like bits, or an array of size 0 for all.
        slots: Uint8 (65536,): 0 for none, else 1 + row of counts.
        counts: Int64 (rows, 65536), written.
    """
    for i in range(bits.size):
        slot = slots[bits[i] >> np.uint32(16)]
        if slot and (mask.size == 0 or mask[i]):
            counts[slot - np.uint8(1), bits[i] & np.uint32(0xFFFF)] += 1


LANES = 8


@compiled
def lane_sums(x, center):  # type: ignore[no-untyped-def]
    """Return the sum of (x - center) and of its square, in a fixed order.

    Value i belongs to lane i % 8; lanes are summed in order at the end, so that the
    result does not depend on the machine or on threads.
    """
    total = np.zeros(LANES)
    square = np.zeros(LANES)
    rows = x[: x.size // LANES * LANES].reshape(-1, LANES)
    for i in range(rows.shape[0]):
        row = rows[i]
        for lane in range(LANES):
            value = row[lane] - center
            total[lane] += value
            square[lane] += value * value
    for lane in range(x.size - rows.size):
        value = x[rows.size + lane] - center
        total[lane] += value
        square[lane] += value * value
    one, two = 0.0, 0.0
    for lane in range(LANES):
        one += total[lane]
        two += square[lane]
    return one, two


@compiled
def shrink_rows(x, out, starts, sizes, weights):  # type: ignore[no-untyped-def]
    """Sum weighted rows: out[i] = sum over k of weights[i, k] * x[starts[i] + k].

    Args:
        x: Float32 (height, width).
        out: Float64 (rows, width), written; taps are added in rising order.
        starts: First row of each output row.
        sizes: Number of taps of each output row.
        weights: Float64 (rows, most taps).
    """
    width = x.shape[1]
    for i in range(out.shape[0]):
        row = out[i]
        for j in range(width):
            row[j] = 0.0
        size, start = sizes[i], starts[i]
        k = 0
        while k + 4 <= size:
            w0, w1 = weights[i, k], weights[i, k + 1]
            w2, w3 = weights[i, k + 2], weights[i, k + 3]
            x0, x1 = x[start + k], x[start + k + 1]
            x2, x3 = x[start + k + 2], x[start + k + 3]
            for j in range(width):
                value = row[j] + w0 * np.float64(x0[j])
                value = value + w1 * np.float64(x1[j])
                value = value + w2 * np.float64(x2[j])
                row[j] = value + w3 * np.float64(x3[j])
            k += 4
        while k < size:
            weight, source = weights[i, k], x[start + k]
            for j in range(width):
                row[j] = row[j] + weight * np.float64(source[j])
            k += 1


@compiled
def shrink_columns(x, out, starts, sizes, weights):  # type: ignore[no-untyped-def]
    """Sum weighted columns of float64 x and round to float32 once.

    Four rows at a time, so that their sums, each one in rising order, needn't wait
    for one another; the last row is computed again where four don't divide them.

    Args:
        x: Float64 (height, width).
        out: Float32 (height, columns), written; taps are added in rising order.
        starts: First column of each output column.
        sizes: Number of taps of each output column.
        weights: Float64 (columns, most taps).
    """
    last = x.shape[0] - 1
    for i0 in range(0, last + 1, 4):
        i1, i2, i3 = min(i0 + 1, last), min(i0 + 2, last), min(i0 + 3, last)
        for j in range(out.shape[1]):
            start, stop = starts[j], starts[j] + sizes[j]
            weight = weights[j]
            x0, x1 = x[i0, start:stop], x[i1, start:stop]
            x2, x3 = x[i2, start:stop], x[i3, start:stop]
            y0 = y1 = y2 = y3 = 0.0
            for k in range(stop - start):
                y0 = y0 + weight[k] * x0[k]
                y1 = y1 + weight[k] * x1[k]
                y2 = y2 + weight[k] * x2[k]
                y3 = y3 + weight[k] * x3[k]
            out[i0, j], out[i1, j] = np.float32(y0), np.float32(y1)
            out[i2, j], out[i3, j] = np.float32(y2), np.float32(y3)


def no_mask() -> NDArray[np.bool_]:
    """Return the mask of size 0 that stands for all pixels."""
    return np.empty(0, dtype=np.bool_)
