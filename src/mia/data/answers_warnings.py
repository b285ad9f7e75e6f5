"""What is odd about given answers, though they can be audited: a line each on stderr, with the next step."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Bools, Integers

SATURATED = 0.01  # share of records whose largest probability is written as 1, from which on a warning is due
MOST_DIGITS = 4  # after the point, up to which probabilities are looked at for rounding
DISTINCT = 0.9  # share of distinct answers from which on two equal ones are of equal records; a tree's are of its leaf
UNLIKE_SIZE, UNLIKE_ACCURACY = 1.25, 0.1  # shadows that are so many times larger, or so much more often right


def say(path: Path, lines: Sequence[str]) -> None:
    """Print the warnings of a file."""
    for line in lines:
        print(f"warning: {path}: {line}", file=sys.stderr)


def of_target(
    logits: NDArray[np.float32], labels: Integers, is_member: Bools, *, posteriors: bool, probabilities: bool
) -> list[str]:
    """Of the target's answers.

    logits: (samples, classes), log probabilities where `probabilities` were given. labels, is_member: (samples,).
    posteriors: whether probabilities or logits were given, and not a loss or a class alone.
    """
    lines = []
    saturated = float((logits.max(axis=1) >= 0).mean()) if probabilities else 0.0
    digits = _digits(logits) if probabilities else None
    if saturated >= SATURATED:
        lines.append(
            f"{100 * saturated:.0f} % of the records have a probability written as 1: attacks rank them by what is "
            "left; write more digits, or logits"
        )
    if digits and len(logits) >= 10**digits:
        lines.append(
            f"every probability is a multiple of {10.0**-digits:g}, of {len(logits):,} records: many tie, and attacks "
            "cannot rank them; write more digits, or logits"
        )
    if posteriors and not digits and (twins := _equal_on_both_sides(logits, labels, is_member)):
        lines.append(
            f"{twins:,} members have the very answers of a non-member: equal records on both sides hide a leak; leave "
            "out one of each"
        )
    return lines


def of_shadows(target: tuple[Bools, Bools], shadows: Sequence[tuple[Bools, Bools]], *, accuracy: bool) -> list[str]:
    """Of shadows that are unlike the target, so that thresholds and references from them mislead.

    target, shadows: of each model which records it was trained on, and on which it is right, (samples,) each.
    accuracy: whether the answers say who is right.
    """
    lines = []
    size, sizes = int(target[0].sum()), [int(member.sum()) for member, _ in shadows]
    middle = float(np.median(sizes))
    if max(middle, size) > UNLIKE_SIZE * min(middle, size):
        lines.append(
            f"shadows were trained on {middle:,.0f} records (median), the target on {size:,}: what they know of a "
            "record is not what the target does; train shadows on as many"
        )
    if not accuracy:
        return lines
    of_target, *others = (float(right[~member].mean()) for member, right in (target, *shadows))
    middle, error = float(np.median(others)), 3 * 0.5 / np.sqrt((~target[0]).sum())
    if abs(middle - of_target) > max(UNLIKE_ACCURACY, error):
        lines.append(
            f"shadows are right on {100 * middle:.1f} % of their non-members (median), the target on "
            f"{100 * of_target:.1f} %: they were trained otherwise; train shadows as the target was"
        )
    return lines


def of_persons(persons: Sequence[str], is_member: Bools) -> list[str]:
    """Of people with records on both sides. persons, is_member: (rows,)."""
    names = np.asarray(persons, object)
    both = len(set(names[is_member]) & set(names[~is_member]))
    if not both:
        return []
    line = (
        f"person: {both:,} of {len(set(names)):,} have members and non-members: what the model learned of a person "
        "shows in both, and hides a leak; keep a person's records on one side"
    )
    return [line]


def _digits(logits: NDArray[np.float32]) -> int | None:
    """The most digits after the point that a probability has; None where these are more than MOST_DIGITS."""
    probabilities = np.exp(logits.astype(np.float64))
    for digits in range(1, MOST_DIGITS + 1):
        scaled = probabilities * 10**digits
        near = np.abs(scaled - np.round(scaled)) < 1e-3
        if (near | (scaled < 1)).all():  # below stands what is put in the place of 0
            return digits
    return None


def _equal_on_both_sides(logits: NDArray[np.float32], labels: Integers, is_member: Bools) -> int:
    """Members with the answers and the label of a non-member; 0 where answers are too coarse to tell records apart."""
    keys = np.ascontiguousarray(np.column_stack([logits, labels.astype(np.float32)]))
    whole = keys.view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    if len(np.unique(whole)) < DISTINCT * len(whole):
        return 0
    return int(np.isin(whole[is_member], whole[~is_member]).sum())
