"""Read the data set, check it, and write the population under audit and the attacker's records in one compact form.

Reads: the active data set (embedded, downloaded, or a path of params.yaml).
Writes: data/population/ and data/attacker/ (images uint8 (samples, height, width, channels) or a table; class names),
metrics/data.json (how many records there are, how many were dropped and why, and what was done to a user's images).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mia import paths, seeds
from mia.audits import given
from mia.data import digits, population, sources, stored_records
from mia.params import Params
from mia.store import metrics_files
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    if params.audit.data.source == "answers":
        given.prepare(params)
        return
    data = params.audit.data
    knowledge = params.attacker.knowledge
    own, wanted = paths.audit(params.audit.name) / "data", knowledge == "generated"
    real, generated, reading = sources.read(data, own, generated=wanted)
    rng = seeds.generator(params.seed, "population")

    rows, twins = population.under_audit(real, data.split, data.population_size, rng, params.audit.place)
    audited, outside = real.select(rows), real.select(np.setdiff1d(np.arange(len(real)), rows))
    copies = 0
    if knowledge == "population":
        attacker = audited
    elif knowledge == "disjoint":
        attacker, copies = population.beyond(audited, outside, params.audit.place)
    elif data.source == "digits":  # the attacker fits its generator on digits outside the population
        known = real.take(outside.rows)
        generated = digits.generate(known, data.generated, data.bandwidth, rng, params.audit.place)
        attacker = generated.select(np.arange(len(generated)))
    else:
        assert generated is not None
        attacker = generated.select(np.arange(len(generated)))
    if data.source != "digits" and knowledge != "population":
        attacker = population.sample(
            attacker, data.attacker_size, seeds.generator(params.seed, "attacker"), params.audit.place
        )
    if data.split == "half":  # membership is drawn, for shadows too
        attacker = dataclasses.replace(attacker, published=False)
    stored_records.save(paths.POPULATION, audited)
    stored_records.save(paths.ATTACKER, attacker)
    metrics_files.write_json(
        paths.DATA_METRICS,
        {
            "population": len(audited),
            "attacker": len(attacker),
            "classes": len(real.classes),
            "dropped_nonmember_twins": twins,
            "dropped_attacker_twins": copies,
            "population_duplicates": audited.duplicates,
            "attacker_duplicates": attacker.duplicates,
            **({"images": reading} if any(reading.values()) else {}),
        },
    )


if __name__ == "__main__":
    run(main)
