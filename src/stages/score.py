"""Let every attack score every record of the target, and of shadows in the target's place.

Reads: data/features/, models/attack/, models/stacked/, data/quantiles.parquet, data/imitations/,
data/signals/target.parquet, data/margins.parquet, audits/NAME/attacks/ (the user's own). It reads no image, and not who
is a member of the target.
Writes: data/target_scores.parquet (a row an audited record, every attack's score), data/scores.parquet (attack,
model_id, source, sample_id, label, is_member, score; one part an attack): of records of shadows, on which thresholds
are chosen; a fitted attack scores a shadow by models that were not fitted on it. metrics/not_applicable.json (attacks
that the threat model cannot carry, and why).
"""

from __future__ import annotations

import sys
from operator import attrgetter

import pyarrow as pa

from mia import paths, progress, seeds
from mia.attacks import evidence, learned, own, rmia, schemas, scoring
from mia.attacks.seen import Fitted, Seen
from mia.catalogue import ATTACKS, wanted
from mia.errors import InputError, NotApplicable
from mia.models import imitations
from mia.models.logits import SIGNALS
from mia.params import Attacks, Params
from mia.store import metrics_files, parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    seen = read(params)
    users = {attack.name: attack for attack in own.read(paths.audit(params.audit.name) / "attacks")}
    attacks, refused = [*wanted(params.attacks.run), *users], {}
    on_target = seen.target[["sample_id", "label"]].copy()
    with parquet.writer(paths.SCORES, schemas.SCORES) as add:
        for attack in progress.bar(attacks, "score", unit="attack"):
            try:
                target, shadows = scoring.scores(seen, attack, users.get(attack))
            except NotApplicable as error:
                refused[attack] = str(error)
                continue
            add(pa.Table.from_pandas(shadows.assign(attack=attack), preserve_index=False))
            on_target[f"{attack}_score"] = target
        for reason in dict.fromkeys(refused.values()):
            names = ", ".join(attack for attack, why in refused.items() if why == reason)
            print(f"score: not applicable, {reason}: {names}", file=sys.stderr)
        if len(refused) == len(attacks):
            reasons = "; ".join(f"{attack} {reason}" for attack, reason in refused.items())
            raise InputError(f"params.yaml: attacks.run: no attack can run: {reasons}; add others, or set it to all")
    parquet.write(
        paths.TARGET_SCORES, on_target, schemas.target_scores([name for name in attacks if name not in refused])
    )
    metrics_files.write_json(paths.NOT_APPLICABLE, refused)


def read(params: Params) -> Seen:
    """What the attacker has seen, from the files of the stages before."""
    target = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
    answers = evidence.gather(
        parquet.read_table(paths.TARGET_SIGNALS, SIGNALS), parquet.read_parts(paths.MARGINS, schemas.MARGINS)
    )
    played = evidence.plays(
        answers,
        params.attacks.played.models,
        params.attacks.played.records,
        lambda model_id: seeds.generator(params.seed, "played records", model_id),
    )
    return Seen(
        target,
        schemas.read_features(paths.SHADOW_FEATURES, with_membership=True),
        answers,
        played,
        settings(params.attacks, played),
        fitted,
        lambda: parquet.read(paths.QUANTILES, schemas.QUANTILES),
        lambda: imitations.read(paths.IMITATIONS),
    )


def settings(attacks: Attacks, played: list[evidence.Play]) -> dict[str, object]:
    """The attacks' settings, by their place below `attacks`; RMIA's a is chosen on shadows where none is given."""
    values = {place: attrgetter(place)(attacks) for attack in ATTACKS for place in attack.settings.values()}
    chosen = values["rmia.a"] is None and "rmia_offline" in wanted(attacks.run)
    if chosen and played and played[0].evidence.outside.count.all():
        values["rmia.a"] = rmia.choose_a([play.evidence for play in played], [play.is_member for play in played])
        print(f"score: rmia_offline: a = {values['rmia.a']}, chosen on {len(played)} shadows", file=sys.stderr)
    return values


def fitted(attack: str) -> Fitted:
    """A fitted attack's model; NotApplicable with the reason that the fitting stage left, if it left one."""
    folder = paths.STACKED_MODEL if attack == "stacked" else paths.ATTACK_MODEL / attack
    reason = folder / "not_applicable.json"
    if reason.exists():
        raise NotApplicable(metrics_files.read_json(reason)["reason"])
    return Fitted(learned.load(folder), parquet.read(folder / "out_of_fold.parquet", schemas.OUT_OF_FOLD))


if __name__ == "__main__":
    run(main)
