"""Every attack's scores of the target's records and of shadows' records, one function a family of attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mia.arrays import Floats
from mia.attacks import signals, stacked, thresholds
from mia.attacks.evidence import Evidence, Play
from mia.attacks.own import OwnAttack
from mia.attacks.seen import Seen
from mia.catalogue import BY_NAME, Attack, Family
from mia.errors import InputError, NotApplicable

# Why a signal is not there, where it is not that the answers hold no posteriors.
LACKING = {
    "loss": "the answers hold no loss",
    "correctness": "the answers hold no predicted classes",
    "views_right": "needs query.views of 2 or more, and predicted classes",
}
KEYS = ["model_id", "source", "sample_id", "label", "is_member"]


class Scores(NamedTuple):
    """An attack's scores. target: (samples,). shadows: schemas.SCORES without the attack, a row a shadow's record."""

    target: Floats
    shadows: pd.DataFrame


def scores(seen: Seen, name: str, own: OwnAttack | None = None) -> Scores:
    """The scores of one attack. own: the user's attack of this name, where it is none of ours.

    Raises NotApplicable with the reason where what was seen cannot carry it, InputError where files do not fit, or as
    `OwnAttack.score`.
    """
    if own is None:
        attack = BY_NAME[name]
        found = FAMILIES[attack.family](seen, attack)
    else:
        found = _own(seen, own)
    sides = found.shadows["is_member"]
    if len(sides) and sides.nunique() < 2:  # of few records an attack may score those of one side alone
        raise NotApplicable("needs members and non-members of shadows: raise attacks.played.records")
    return found


def _threshold(seen: Seen, attack: Attack) -> Scores:
    score = attack.load()
    if attack.signal not in seen.target:
        raise NotApplicable(LACKING.get(attack.signal, "the answers hold no posteriors"))
    known = [name for name in (*signals.NAMES, "views_right") if name in seen.target]
    target, shadows = (
        score({name: frame[name].to_numpy(np.float64) for name in known}) for frame in (seen.target, seen.shadows)
    )
    return Scores(target, seen.shadows[KEYS].assign(score=shadows))


def _per_class(seen: Seen, attack: Attack) -> Scores:
    target, rows = _threshold(seen, attack)
    if rows.empty:
        raise NotApplicable("needs shadows")
    labels = rows["label"].to_numpy()
    of_class = thresholds.of_classes(rows["score"].to_numpy(), rows["is_member"].to_numpy(bool), labels, seen.n_classes)
    rows["score"] -= of_class[labels]
    return Scores(target - of_class[seen.target["label"].to_numpy()], rows)


def _learned(seen: Seen, attack: Attack) -> Scores:
    model, out_of_fold = (fitted := seen.fitted(attack.name)).model, fitted.out_of_fold
    _same_records(attack, out_of_fold, seen.shadows)
    if lacking := sorted(set(model.feature_names) - set(seen.target)):
        raise InputError(f"data/features: {attack.name} was fitted on {lacking[0]}, which is not there; `dvc repro`")
    target = model.scores(seen.target[list(model.feature_names)].to_numpy(), seen.target["label"].to_numpy())
    return Scores(target, seen.shadows[KEYS].assign(score=out_of_fold["score"]))


def _reference(seen: Seen, attack: Attack) -> Scores:
    if "margin" not in seen.target:
        raise NotApplicable("the answers hold no loss")
    if "no_shadow" in attack.needs:
        if not seen.shadows.size and not seen.played:
            return Scores(attack.with_settings(seen.settings)(seen.evidence), seen.shadows[KEYS].assign(score=0.0))
    elif not len(seen.evidence.references):
        raise NotApplicable("needs shadows")
    _require_plays(seen)
    if "references_in" in attack.needs and not seen.evidence.inside.count.any():
        raise NotApplicable("needs attacker.knowledge=population")
    score = attack.with_settings(seen.settings)
    try:
        shadows = [_rows(play, score(play.evidence)) for play in seen.played]
        return Scores(score(seen.evidence), pd.concat(shadows))
    except InputError as error:  # too few references
        raise NotApplicable(str(error)) from None


def _own(seen: Seen, attack: OwnAttack) -> Scores:
    target = attack.score(seen.evidence)
    attack.check_repeats(seen.evidence, target)
    if not seen.shadows.size and not seen.played:
        return Scores(target, seen.shadows[KEYS].assign(score=0.0))
    _require_plays(seen)
    return Scores(target, pd.concat([_rows(play, attack.score(play.evidence)) for play in seen.played]))


def _quantile(seen: Seen, _: Attack) -> Scores:
    _require_plays(seen)
    predicted = seen.quantiles()
    if predicted.empty:
        raise NotApplicable("needs 20 sure non-members: attacker.knowledge=generated or disjoint")
    scored = []
    for _model_id, frame in predicted.groupby("model_id", sort=True):
        margins, rows = _of_model(seen, frame)
        scored.append(rows.assign(score=(margins[:, 0] - frame["mean"]) / frame["deviation"]))
    return Scores(scored[0]["score"].to_numpy(), pd.concat(scored[1:]))


def _imitated(seen: Seen, attack: Attack) -> Scores:
    """The imitators of a model are its references; none was trained on a record that it is asked about."""
    score = attack.with_settings(seen.settings)
    scored = []
    for _model_id, frame in seen.imitations().groupby("model_id", sort=True):
        margins, rows = _of_model(seen, frame[frame["imitator"] == 0])
        references = frame["margin"].to_numpy().reshape(-1, len(rows), 1)
        evidence = Evidence(margins[:, :1], references, np.zeros(references.shape[:2], bool), rows["label"].to_numpy())
        scored.append(rows.assign(score=score(evidence)))
    return Scores(scored[0]["score"].to_numpy(), pd.concat(scored[1:]))


def _of_model(seen: Seen, frame: pd.DataFrame) -> tuple[Floats, pd.DataFrame]:
    """Margins (rows, views) and KEYS of one model's records, which a table names."""
    known = seen.answers[str(frame["source"].iloc[0])]
    rows, shadow = frame["sample_id"].to_numpy(), np.flatnonzero(known.model_ids == frame["model_id"].iloc[0])
    margins = known.references[shadow[0]] if len(shadow) else known.target
    assert margins is not None
    is_in = known.is_in[shadow[0]][rows] if len(shadow) else np.zeros(len(rows), bool)
    keys = frame[["model_id", "source", "sample_id"]]
    return margins[rows], keys.assign(label=known.labels[rows], is_member=is_in)


def _stacked(seen: Seen, attack: Attack) -> Scores:
    _require_plays(seen)
    model, out_of_fold = (fitted := seen.fitted(attack.name)).model, fitted.out_of_fold
    played = [play.evidence for play in seen.played]
    if stacked.misled(seen.evidence, played):
        return _cautious(seen)
    use_in = all(map(stacked.online, [seen.evidence, *played]))
    names, values = stacked.features(seen.evidence, seen.n_classes, use_in=use_in)
    rows = pd.concat([_rows(play, np.zeros(len(play.rows))) for play in seen.played], ignore_index=True)
    _same_records(attack, out_of_fold, rows)
    if set(model.feature_names) - set(names):
        raise InputError(f"models: {attack.name} was fitted on other features; `dvc repro` fits it anew")
    values = values[:, [names.index(name) for name in model.feature_names]]
    target = stacked.log_odds(model.scores(values, seen.evidence.labels))
    return Scores(target, rows.assign(score=stacked.log_odds(out_of_fold["score"].to_numpy())))


def _cautious(seen: Seen) -> Scores:
    """The stacked attack where references mislead (`stacked.misled`): nothing that was fitted on them is used."""
    try:
        target, unlike = _quantile(seen, BY_NAME["quantile"])
    except NotApplicable:
        shadows = [_rows(play, stacked.cautious(play.evidence, None)) for play in seen.played]
        return Scores(stacked.cautious(seen.evidence, None), pd.concat(shadows))
    scored = []
    for play in seen.played:
        of_shadow = unlike[unlike["model_id"] == play.model_id].set_index("sample_id")["score"]
        known = np.isin(play.rows, of_shadow.index)
        if known.any():
            rows = play.only(known)
            scored.append(_rows(rows, stacked.cautious(rows.evidence, of_shadow.reindex(rows.rows).to_numpy())))
    return Scores(stacked.cautious(seen.evidence, target), pd.concat(scored))


def _require_plays(seen: Seen) -> None:
    if not seen.played:
        raise NotApplicable("needs shadows" if seen.shadows.empty else "needs more shadow models")


def _rows(play: Play, score: Floats) -> pd.DataFrame:
    keys = {"model_id": play.model_id, "source": play.source, "sample_id": play.rows}
    return pd.DataFrame({**keys, "label": play.evidence.labels, "is_member": play.is_member, "score": score})


def _same_records(attack: Attack, out_of_fold: pd.DataFrame, rows: pd.DataFrame) -> None:
    keys = ["model_id", "sample_id"]
    if len(out_of_fold) != len(rows) or (out_of_fold[keys].to_numpy() != rows[keys].to_numpy()).any():
        raise InputError(f"models: {attack.name} was fitted on other records of shadows; `dvc repro` fits it anew")


FAMILIES: Mapping[Family, Callable[[Seen, Attack], Scores]] = {
    "threshold": _threshold,
    "per_class": _per_class,
    "learned": _learned,
    "reference": _reference,
    "quantile": _quantile,
    "imitated": _imitated,
    "stacked": _stacked,
}
