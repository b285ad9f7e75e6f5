"""All that an attacker has seen. The target's membership is not in it and cannot be reached from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from mia.attacks.evidence import Answers, Evidence, Play
from mia.attacks.learned import AttackModel


@dataclass(frozen=True, eq=False)
class Fitted:
    """An attack model, and its scores of the shadows' records by models that were not fitted on that shadow.

    out_of_fold: schemas.OUT_OF_FOLD, in the order of the rows it was fitted on.
    """

    model: AttackModel
    out_of_fold: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Seen:
    """The target's and shadows' answers in each form that attacks read.

    target, shadows: features (schemas.features), shadows' with their membership. answers: margins by source.
    played: shadows in the target's place. settings: values by their place
    below `attacks` in params.yaml. fitted: an attack's name to its model, raises NotApplicable where there is none.
    quantiles: schemas.QUANTILES; the first model is the target. imitations: models.imitations.IMITATIONS, likewise;
    raises NotApplicable where there are none.
    """

    target: pd.DataFrame
    shadows: pd.DataFrame
    answers: Mapping[str, Answers]
    played: Sequence[Play]
    settings: Mapping[str, Any]
    fitted: Callable[[str], Fitted]
    quantiles: Callable[[], pd.DataFrame]
    imitations: Callable[[], pd.DataFrame]

    @cached_property
    def evidence(self) -> Evidence:
        """The target is attacked, every shadow is a reference."""
        return self.answers["population"].of_target()

    @cached_property
    def n_classes(self) -> int:
        """One more than the largest label."""
        return 1 + max(int(known.labels.max()) for known in self.answers.values())
