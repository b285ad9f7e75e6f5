"""What the target's answers say without shadow models if the members are known: no attack, so it stands beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mia.arrays import Bools, Floats
from mia.evaluation import members_known, tail


class WithoutShadows:
    """A classifier of members on both halves of the records, and the forecast.

    features: (samples, features), of the target's answers. loss: nats, (samples,), None where the answers hold none.
    is_member: (samples,). The classifier of one half costs seconds, so each is a task of its own.
    """

    HALVES = ("members known, first half", "members known, second half")

    def __init__(self, features: Floats, loss: Floats | None, is_member: Bools, rng: np.random.Generator) -> None:
        self.features, self.loss, self.is_member = features, loss, is_member
        self.half = members_known.halves(is_member, rng)

    def scores(self, half: str) -> Floats:
        """P(member) of one half, by a classifier that was fitted on the other."""
        fitted = ~self.half if half == self.HALVES[0] else self.half
        return members_known.unseen(self.features, self.is_member, fitted)

    def numbers(self, scores: Sequence[Floats], fprs: Sequence[float]) -> dict[str, dict[str, float]]:
        """Of metrics/without_shadows.json. scores: of both halves, in the order of HALVES."""
        score = np.empty(len(self.half))
        score[self.half], score[~self.half] = scores
        numbers = {"members_known": members_known.numbers(score, self.is_member, fprs)}
        if self.loss is not None and (of_loss := tail.numbers(self.loss, self.is_member, fprs)):
            numbers["loss_tnr"] = of_loss
        return numbers
