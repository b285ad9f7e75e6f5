"""Train imitators of the target, and of the first shadow in its place, for the attack glira.

Reads: data/population/, data/attacker/, data/network.json, data/signals/target.parquet, and of the first block of
shadows data/signals/shadows/BLOCK.parquet and data/membership/shadows/BLOCK.parquet.
Writes: data/imitations/margins.parquet (model_id, source, sample_id, imitator, margin): what the target's imitators say
of the population, and the shadow's of its members and of half of the attacker's other records; they learned from the
other half. Where there can be no imitators, or glira is not among attacks.run, not_applicable.json says why instead.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.attacks import signals
from mia.compute import workers
from mia.data import splits, stored_records
from mia.data.membership import MEMBERSHIP
from mia.data.records import Records
from mia.errors import NotApplicable
from mia.models import imitations, imitators, networks, outlook, snapshots
from mia.models.imitators import Imitated
from mia.models.logits import SIGNALS
from mia.models.short_answers import SHORT
from mia.params import Params
from mia.store import parquet
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage. block: whose first shadow plays the target, for the threshold."""
    try:
        run = params.attacks.run
        if run != "all" and "glira" not in run:
            raise NotApplicable("not among attacks.run")
        if reason := imitations.refusal(params.audit, params.attacker.knowledge):
            raise NotApplicable(reason)
        train(params, block)
    except NotApplicable as error:
        print(f"train_imitators: left out: {error}", file=sys.stderr)
        imitations.leave_out(paths.IMITATIONS, str(error))


def train(params: Params, block: int) -> None:
    """Train, ask and write; raises NotApplicable where it cannot."""
    recipe = params.audit.shadow_recipe
    networks.declared(paths.NETWORK, recipe.architecture, recipe.initial)
    population, attacker = stored_records.load(paths.POPULATION), stored_records.load(paths.ATTACKER)
    path = paths.shadow_signals(block)
    shadow = next(parquet.read_parts(path, SIGNALS, SHORT))
    parts = {paths.TARGET_SIGNALS: parquet.read_table(paths.TARGET_SIGNALS, SIGNALS), path: shadow}
    answers = np.stack([imitators.log_posteriors(*part, len(attacker)) for part in parts.items()])
    imitated = models(params, block, int(shadow.column("model_id")[0].as_py()), len(population), attacker)
    tasks = imitators.tasks_of(params.seed, imitated, params.attacks.glira.models)

    size = attacker.images.shape[1:], len(attacker.classes)
    name, lessons = f"{len(tasks)} imitators", [task.lesson for task in tasks]
    outlook.say(outlook.shadows(name, str(params.audit.path), recipe, *size, lessons, 1))
    shared = population.images, population.labels, attacker.images, attacker.labels, answers, recipe, signals.log_odds
    code = params.audit.code if networks.is_own(recipe.architecture) or recipe.initial else None
    learned = list(
        workers.spread(
            imitators.learn, (*shared, workers.snapshot_folder()), tasks, name=name, unit="model", folder=code
        )
    )
    frames = []
    for place, (task, (margin, _)) in enumerate(zip(tasks, learned, strict=True)):
        keys = {"model_id": task.lesson.model_id, "source": task.source, "sample_id": task.asked}
        frames.append(pd.DataFrame({**keys, "imitator": place % params.attacks.glira.models, "margin": margin}))
    imitations.write(paths.IMITATIONS, pd.concat(frames, ignore_index=True))
    snapshots.clear(snapshot for _, snapshot in learned)


def models(params: Params, block: int, shadow: int, n_population: int, attacker: Records) -> list[Imitated]:
    """The target and the shadow, with the records that their imitators learn from and are asked about."""
    membership = parquet.read(paths.shadow_membership(block), MEMBERSHIP)
    members = membership.loc[(membership["model_id"] == shadow) & membership["is_member"], "sample_id"].to_numpy()
    is_in = np.isin(attacker.group, attacker.group[members])  # byte-identical records too
    own, other = (seeds.generator(params.seed, "imitator records", model_id) for model_id in (0, shadow))
    every = np.arange(len(attacker))
    rows, unseen = splits.split_nonmembers(is_in, other)
    most = params.attacks.glira.records or 2 * len(members)
    return [
        Imitated(0, np.sort(own.permutation(every)[:most]), "population", np.arange(n_population)),
        Imitated(shadow, np.sort(other.permutation(rows)[:most]), "attacker", unseen),
    ]


if __name__ == "__main__":
    run_block(main)
