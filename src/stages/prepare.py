"""Read the data set, check it, and write the population under audit and the attacker's images in one compact form.

Reads: the active data set (embedded, downloaded, or a path of params.yaml).
Writes: data/population/ and data/attacker/ (images uint8 (samples, height, width, channels), records, class names),
metrics/data.json (what was found, and what was dropped and why).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mia import datasets, digits, documents, paths, seeds, splits
from mia.errors import InputError
from mia.images import ImageSet
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    name = params.data.dataset
    real, generated = read(params)
    rng = seeds.generator(params.seed, "population")
    data = params.data.of(name)

    population, twins = under_audit(real, data.split, data.population_size, rng, f"data.{name}")
    if name == "digits":  # the attacker fits its generator on digits outside the population
        outside = real.take(np.setdiff1d(np.arange(len(real)), population))
        generated = digits.generate(outside, data.generated, data.bandwidth, rng)
    assert generated is not None
    datasets.save(paths.POPULATION, real.take(population))
    datasets.save(paths.ATTACKER, generated)

    found = {
        "population": len(population),
        "attacker": len(generated),
        "classes": len(real.classes),
        "dropped_nonmember_twins": twins,
        "population_duplicates": duplicates(real.take(population)),
        "attacker_duplicates": duplicates(generated),
    }
    documents.write_json(paths.DATA_METRICS, found)


def read(params: Params) -> tuple[ImageSet, ImageSet | None]:
    """The real and the generated images of the active data set (None: they are drawn once the population is known)."""
    if params.data.dataset == "digits":
        return digits.load(), None
    if params.data.dataset == "folder":
        from mia import folder

        data = params.data.folder
        real = folder.load(Path(data.path), min_per_class=data.min_per_class)
        generated = folder.load(Path(data.generated), min_per_class=data.min_per_class)
        return real, folder.align(real, generated, place=data.generated)
    from mia import cifake

    if params.data.dataset == "cifake":
        return cifake.load(optional(params.data.cifake.path), paths.DOWNLOADS)
    from mia import cifar10

    cifake_path = optional(params.data.cifar10.cifake_path)
    _, generated = cifake.load(cifake_path, paths.DOWNLOADS, instead="data.cifar10.cifake_path")
    print(
        "warning: only the generated images are JPEG, so shadows and target also differ in compression", file=sys.stderr
    )
    return cifar10.load(optional(params.data.cifar10.path), paths.DOWNLOADS), generated


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
    group = datasets.groups(datasets.digests(real.images))
    twins = splits.crossing_twins(group, real.published_train)
    return np.flatnonzero(~twins), int(twins.sum())


def duplicates(data: ImageSet) -> int:
    """Images that are byte-identical to an earlier one."""
    group = datasets.groups(datasets.digests(data.images))
    return int((group != np.arange(len(group))).sum())


if __name__ == "__main__":
    run(main)
