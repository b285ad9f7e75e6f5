"""The numbers of an audit, as its files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia.evaluation import verdict

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Audit:
    """All that the report shows.

    verdict: metrics/verdict.json. attacks: the entries of metrics/attacks.json, each with tpr, tpr_low, tpr_high at the
    verdict's FPR (NaN where the non-members do not resolve it). refused: metrics/not_applicable.json. data, target,
    shadows, selection, without_shadows: of metrics/. curves, bins, counts, classes, pairs, history, board: of plots/.
    exposure: schemas.exposure, a row an audited record. loss: (records,), nats, in its order; None where the answers
    hold none. images: (population, height, width, channels) uint8, by sample_id; None where the records are no images.
    table: the columns of the population, by sample_id; None where the records are no rows of a table, or their values
    are not to be shown.
    mitigations: what other trainings gave, of the file that `report.mitigations` names (mitigations.read).
    fingerprint: SHA-256 of the exposure's file.
    """

    verdict: Numbers
    attacks: Sequence[Numbers]
    refused: Mapping[str, str]
    data: Numbers
    target: Numbers
    shadows: Numbers
    selection: Numbers
    without_shadows: Numbers
    curves: pd.DataFrame
    bins: pd.DataFrame
    counts: pd.DataFrame
    classes: pd.DataFrame
    pairs: pd.DataFrame
    history: pd.DataFrame
    board: pd.DataFrame
    exposure: pd.DataFrame
    loss: NDArray[np.float64] | None
    images: NDArray[np.uint8] | None
    table: pd.DataFrame | None
    mitigations: Numbers
    fingerprint: str

    @property
    def by_attack(self) -> dict[str, Numbers]:
        """Each attack's entry of `attacks`."""
        return {str(entry["attack"]): entry for entry in self.attacks}

    @property
    def fpr(self) -> float:
        """The FPR of the verdict, or the wanted FPR where the non-members are too few for any."""
        return float(self.verdict.get("fpr", verdict.ASKED_FPR))

    @property
    def noun(self) -> str:
        """What one audited record is called: image or record."""
        return verdict.noun(self.verdict)

    @property
    def cross_fitted(self) -> bool:
        """Whether thresholds were chosen on the audited records, for there were no shadows to choose them on."""
        return any(entry.get("thresholds") == "cross-fitted" for entry in self.attacks)
