"""Which records are under audit, and which of the others the attacker holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mia.arrays import Integers
from mia.data import splits
from mia.data.records import Records, Selected
from mia.errors import InputError


def under_audit(
    real: Records, split: str, size: int | None, rng: np.random.Generator, place: Callable[[str], str]
) -> tuple[Integers, int]:
    """Rows of the records under audit, sorted, and how many non-members were dropped as twins of members.

    split: `half`: `size` records drawn at random (None: all); `published`: all but the twins. place: how a
    message names a value of the audit.
    Raises InputError where the data set has no published split, or fewer records than asked for.
    """
    if split == "half":
        if size is not None and size > len(real):
            raise InputError(
                f"{place('data.population_size')}: expected at most the {len(real)} real {_nouns(real)}, got {size}"
            )
        return np.sort(rng.permutation(len(real))[:size]), 0
    if real.published_train is None:
        into = "name the column that has it in data.published"
        if not real.is_table:
            into = "put the images into train/ and test/ folders"
        raise InputError(
            f"{place('data.split')}: this data has no published training and test split; set it to half, or {into}"
        )
    if size is not None:
        raise InputError(f"{place('data.population_size')}: published is taken whole; set it to null, or split to half")
    twins = splits.crossing_twins(real.group, real.published_train)
    return np.flatnonzero(~twins), int(twins.sum())


def beyond(population: Selected, outside: Selected, place: Callable[[str], str]) -> tuple[Selected, int]:
    """The real records outside the population, less byte-identical copies of its records, and how many those were.

    Raises InputError where none is left.
    """
    copy = np.isin(outside.digests, population.digests)
    if copy.all():
        raise InputError(
            f"params.yaml: attacker.knowledge: disjoint needs real {_nouns(outside.records)} outside the population, "
            f"but all {len(population)} are under audit; set {place('data.split')} to half and data.population_size "
            "below that"
        )
    return outside.select(np.flatnonzero(~copy)), int(copy.sum())


def sample(attacker: Selected, size: int | None, rng: np.random.Generator, place: Callable[[str], str]) -> Selected:
    """`size` of the attacker's records, drawn at random (None: all).

    Raises InputError where there are fewer.
    """
    if size is None:
        return attacker
    if size > len(attacker):
        most = f"the {len(attacker)} {_nouns(attacker.records)} there are"
        raise InputError(f"{place('data.attacker_size')}: expected at most {most}, got {size}")
    return attacker.select(np.sort(rng.permutation(len(attacker))[:size]))


def _nouns(records: Records) -> str:
    return "records" if records.is_table else "images"
