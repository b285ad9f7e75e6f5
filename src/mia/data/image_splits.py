"""What the splits of a published data set mean for membership: train and test, and what an audit says of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mia.data.image_files import Meaning
from mia.errors import InputError

USUAL: dict[str, Meaning] = {
    "train": "member",
    "training": "member",
    "test": "nonmember",
    "testing": "nonmember",
    "members": "member",
    "nonmembers": "nonmember",
    "non-members": "nonmember",
}
HELD_OUT = ("val", "valid", "validation", "dev")  # trained on or not, the audit must say


def known(splits: Mapping[str, Meaning] | None) -> set[str]:
    """Every name that is a split's, in small letters. splits: the audit's `data.splits`."""
    return {*USUAL, *HELD_OUT, *(name.casefold() for name in splits or ())}


def meanings(path: Path, found: Sequence[str], splits: Mapping[str, Meaning] | None) -> list[Meaning]:
    """What each image's split means. found: the split of each image, in letters of any case.

    Raises InputError with every split and its count where one has no meaning, or where all are unused.
    """
    says = USUAL | {name.casefold(): meaning for name, meaning in (splits or {}).items()}
    names = [name.casefold() for name in found]
    counts = Counter(names)
    unsaid = [name for name in counts if name not in says]
    shown = ", ".join(f"{name} ({count:,} images)" for name, count in sorted(counts.items()))
    if unsaid:
        example = ", ".join(f"{name}: nonmember" for name in sorted(unsaid))
        raise InputError(
            f"{path}: found the splits {shown}: expected the meaning of {', '.join(sorted(unsaid))}; write it into the "
            f"audit's data.splits: {{{example}}} (member: trained on, nonmember, or unused)"
        )
    if all(says[name] == "unused" for name in counts):
        raise InputError(f"{path}: found the splits {shown}, all of them unused; change data.splits")
    return [says[name] for name in names]
