"""Read the data set, check it, and write the population under audit and the attacker's images in one compact form.

Reads: the active data set (embedded, downloaded, or a path of params.yaml).
Writes: data/population/ and data/attacker/ (images uint8 (samples, height, width, channels), records, class names),
metrics/data.json (what was found, and what was dropped and why).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mia import paths, seeds
from mia.data import digits, splits, stored_records
from mia.data.images import ImageSet
from mia.errors import InputError
from mia.params import Params
from mia.store import metrics_files
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    name = params.data.dataset
    data = params.data.of(name)
    knowledge = params.attacker.knowledge
    with explained(params.data.of(name)):
        real, generated = read(params)
    rng = seeds.generator(params.seed, "population")

    rows, twins = under_audit(real, data.split, data.population_size, rng, f"data.{name}")
    population, outside = real.take(rows), real.take(np.setdiff1d(np.arange(len(real)), rows))
    copies = 0
    if knowledge == "population":
        attacker = population
    elif knowledge == "disjoint":
        attacker, copies = beyond(population, outside, f"data.{name}")
    elif name == "digits":  # the attacker fits its generator on digits outside the population
        attacker = digits.generate(outside, data.generated, data.bandwidth, rng)
    else:
        assert generated is not None
        attacker = generated
    if name != "digits" and knowledge != "population":
        attacker = held(attacker, data.attacker_size, seeds.generator(params.seed, "attacker"), f"data.{name}")
    if data.split == "half":  # membership is drawn, for shadows too
        attacker = dataclasses.replace(attacker, published_train=None)
    stored_records.save(paths.POPULATION, population)
    stored_records.save(paths.ATTACKER, attacker)

    found = {
        "population": len(population),
        "attacker": len(attacker),
        "classes": len(real.classes),
        "dropped_nonmember_twins": twins,
        "dropped_attacker_twins": copies,
        "population_duplicates": duplicates(population),
        "attacker_duplicates": duplicates(attacker),
    }
    metrics_files.write_json(paths.DATA_METRICS, found)


def read(params: Params) -> tuple[ImageSet, ImageSet | None]:
    """The real images of the active data set, and the generated ones.

    None: they are drawn once the population is known (digits), or the attacker has none.
    """
    asked = params.attacker.knowledge == "generated"
    if params.data.dataset == "digits":
        return digits.load(), None
    if params.data.dataset == "folder":
        from mia.data import folder

        data = params.data.folder
        real = folder.load(Path(data.path), min_per_class=data.min_per_class)
        if not asked:
            return real, None
        generated = folder.load(Path(data.generated), min_per_class=data.min_per_class)
        return real, folder.align(real, generated, place=data.generated)
    from mia.data import cifake

    if params.data.dataset == "cifake":
        return cifake.load(optional(params.data.cifake.path), paths.shared("downloads"))
    from mia.data import cifar10

    real = cifar10.load(optional(params.data.cifar10.path), paths.shared("downloads"))
    if not asked:
        return real, None
    cifake_path = optional(params.data.cifar10.cifake_path)
    _, generated = cifake.load(cifake_path, paths.shared("downloads"), instead="data.cifar10.cifake_path")
    print(
        "warning: only the generated images are JPEG, so shadows and target also differ in compression", file=sys.stderr
    )
    return real, generated


@contextmanager
def explained(data: object) -> Iterator[None]:
    """Where data is named by a relative path and cannot be read in a copy of the repository, say why that may be."""
    try:
        yield
    except InputError as error:
        named = [getattr(data, name, None) for name in ("path", "generated", "cifake_path")]
        if paths.in_copy() and any(isinstance(path, str) and not Path(path).is_absolute() for path in named):
            raise InputError(
                f"{error}; this copy of the repository holds only what git and DVC track: give an absolute path"
            ) from error
        raise


def beyond(population: ImageSet, outside: ImageSet, where: str) -> tuple[ImageSet, int]:
    """The real images outside the population, less byte-identical copies of its records, and how many those were.

    Raises InputError where none is left.
    """
    inside = stored_records.digests(population.images)
    copy = np.isin(stored_records.digests(outside.images), inside)
    if copy.all():
        raise InputError(
            f"params.yaml: attacker.knowledge: disjoint needs real images outside the population, but all "
            f"{len(population)} are under audit; set {where}.split to half and {where}.population_size below that"
        )
    return outside.take(np.flatnonzero(~copy)), int(copy.sum())


def held(attacker: ImageSet, size: int | None, rng: np.random.Generator, where: str) -> ImageSet:
    """`size` of the attacker's images, drawn at random (None: all).

    Raises InputError where there are fewer.
    """
    if size is None:
        return attacker
    if size > len(attacker):
        raise InputError(
            f"params.yaml: {where}.attacker_size: expected at most the {len(attacker)} images there are, got {size}"
        )
    return attacker.take(np.sort(rng.permutation(len(attacker))[:size]))


def optional(path: str | None) -> Path | None:
    """A path, or None where none is named."""
    return None if path is None else Path(path)


def under_audit(
    real: ImageSet, split: str, size: int | None, rng: np.random.Generator, where: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
    """Rows of the records under audit, sorted, and how many non-members were dropped as twins of members.

    Raises InputError where the data set has no published split, or fewer records than asked for.
    """
    if split == "half":
        if size is not None and size > len(real):
            raise InputError(
                f"params.yaml: {where}.population_size: expected at most the {len(real)} real images, got {size}"
            )
        return np.sort(rng.permutation(len(real))[:size]), 0
    if real.published_train is None:
        raise InputError(
            f"params.yaml: {where}.split: this data has no published training and test split; set it to half, "
            "or put the images into train/ and test/ folders"
        )
    if size is not None:
        raise InputError(
            f"params.yaml: {where}.population_size: published is taken whole; set it to null, or split to half"
        )
    group = stored_records.groups(stored_records.digests(real.images))
    twins = splits.crossing_twins(group, real.published_train)
    return np.flatnonzero(~twins), int(twins.sum())


def duplicates(data: ImageSet) -> int:
    """Images that are byte-identical to an earlier one."""
    group = stored_records.groups(stored_records.digests(data.images))
    return int((group != np.arange(len(group))).sum())


if __name__ == "__main__":
    run(main)
