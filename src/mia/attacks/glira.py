"""GLiRA: LiRA offline, with models that imitate the target as references.

Source: Galichin et al. 2024 (arXiv 2405.07562): models OUT are distilled from the target on other records, so that they
share what the target learned from no record in particular (`mia.models.imitators`).
"""

from __future__ import annotations

import numpy as np

from mia.arrays import Floats
from mia.attacks import lira
from mia.attacks.evidence import Evidence


def score(evidence: Evidence, *, variance: lira.Variance) -> Floats:
    """How many spreads the target's margin lies above the mean of its imitators' margins, (samples,); view 0 alone.

    LiRA offline is log Phi of this, and orders records alike. But Phi rounds to 1 beyond 38 spreads, and imitators
    resemble each other more than shadows do: where they agree, half of the records would tie at the top.
    InputError: as `lira.side_variance`, on the OUT side.
    """
    out = evidence.outside
    spread = np.sqrt(lira.side_variance(out, "OUT", variance))
    deviation: Floats = ((evidence.target - out.mean) / spread)[:, 0]
    return deviation
