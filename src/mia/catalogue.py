"""Every attack in one line: its name, its function, what it needs, and where it was published.

Only declarations stand here, and nothing is imported before a function is asked for: params.yaml's check reads the
names. The order is that of every table. An attack is its function, its line here, and its test.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

Family = Literal["threshold", "per_class", "learned", "reference", "quantile", "imitated", "stacked"]
Need = Literal["references_in", "no_shadow"]


@dataclass(frozen=True)
class Attack:
    """One attack. Its score is higher for records that are more likely members.

    family: how it is scored on the target and on shadows (`mia.attacks.scoring`). function: below `mia.attacks`; of
    threshold and per_class from signals by name, of reference from an `Evidence`, to scores, (samples,).
    settings: the function's keyword arguments, by where they stand below `attacks` in params.yaml.
    needs: references_in: references that were trained on the audited records. no_shadow: none, but shadows in the
    target's place for a threshold, where there are any.
    """

    name: str
    family: Family
    function: str
    source: str
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()

    @property
    def signal(self) -> str:
        """The signal that a threshold attack reads: its function's name."""
        return self.function.rpartition(".")[2]

    def load(self) -> Callable[..., Any]:
        """The function itself."""
        module, _, name = self.function.rpartition(".")
        function: Callable[..., Any] = getattr(importlib.import_module(f"mia.attacks.{module}"), name)
        return function

    def with_settings(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """The function with its settings, from values by their place below `attacks` in params.yaml."""
        return partial(self.load(), **{key: values[place] for key, place in self.settings.items()})


YEOM, SALEM, SONG = "Yeom et al. 2018", "Salem et al. 2019, Adversary 3", "Song & Mittal 2021"
LABELS = "from labels alone, what an API without probabilities allows"
VARIANCE, GAMMA = {"variance": "lira.variance"}, {"gamma": "rmia.gamma"}
IN: tuple[Need, ...] = ("references_in",)
ATTACKS = (
    Attack("correctness", "threshold", "thresholds.correctness", f"{YEOM}, Sec. 3.3; {LABELS}"),
    Attack("views_right", "threshold", "thresholds.views_right", f"Choquette-Choo et al. 2021, Sec. 4; {LABELS}"),
    Attack("loss", "threshold", "thresholds.loss", f"{YEOM}, Adversary 2"),
    Attack("confidence", "threshold", "thresholds.confidence", SALEM),
    Attack("entropy", "threshold", "thresholds.entropy", f"{SONG}, Sec. 3.2; Salem et al. 2019"),
    Attack("modified_entropy", "threshold", "thresholds.modified_entropy", f"{SONG}, Eq. 8"),
    Attack("loss_per_class", "per_class", "thresholds.loss", f"{SONG}, Sec. 3.2"),
    Attack("confidence_per_class", "per_class", "thresholds.confidence", f"{SONG}, Sec. 3.2"),
    Attack("entropy_per_class", "per_class", "thresholds.entropy", f"{SONG}, Sec. 3.2"),
    Attack("modified_entropy_per_class", "per_class", "thresholds.modified_entropy", f"{SONG}, Sec. 3.2"),
    Attack("learned", "learned", "learned.fit", "Shokri et al. 2017, with one model for all classes"),
    Attack("learned_per_class", "learned", "learned.fit", "Shokri et al. 2017, Sec. V-E"),
    Attack("learned_posteriors", "learned", "learned.fit", "Shokri et al. 2017, as the original experiment had it"),
    Attack("population", "reference", "reference.population", "Ye et al. 2022, attack P", {}, ("no_shadow",)),
    Attack("reference", "reference", "reference.reference", "Ye et al. 2022, attack R"),
    Attack("calibrated", "reference", "reference.calibrated", "Watson et al. 2022"),
    Attack("lira_online", "reference", "lira.online", "Carlini et al. 2022, Alg. 1", VARIANCE, IN),
    Attack("lira_offline", "reference", "lira.offline", "Carlini et al. 2022, Sec. V", VARIANCE),
    Attack("rmia_online", "reference", "rmia.online", "Zarifzadeh et al. 2024", GAMMA, IN),
    Attack("rmia_offline", "reference", "rmia.offline", "Zarifzadeh et al. 2024", {**GAMMA, "a": "rmia.a"}),
    Attack("base_online", "reference", "base.online", "Lassila et al. 2025", {}, IN),
    Attack("base_offline", "reference", "base.offline", "Lassila et al. 2025", {"scale": "base.offline_scale"}),
    Attack("base2_star", "reference", "base.two_star", "Brännvall 2026, rebuttal, BASE2*", {}, IN),
    Attack("base3", "reference", "base.three", "Brännvall 2026, BASE3", {}, IN),
    Attack("bavaria_normal", "reference", "bavaria.normal", "Brännvall 2026"),
    Attack("bavaria_t", "reference", "bavaria.student", "Brännvall 2026"),
    Attack("quantile", "quantile", "quantile.fit", "Bertran et al. 2023"),
    Attack("glira", "imitated", "glira.score", "Galichin et al. 2024, with LiRA offline", VARIANCE),
    Attack("stacked", "stacked", "stacked.fit", "ours"),
)
BY_NAME = {attack.name: attack for attack in ATTACKS}
NAMES = tuple(BY_NAME)


def wanted(run: Literal["all"] | Sequence[str], family: Family | None = None) -> list[str]:
    """The attacks that `attacks.run` asks for, in the order of NAMES; of one family, where one is given."""
    return [
        attack.name
        for attack in ATTACKS
        if (run == "all" or attack.name in run) and (family is None or attack.family == family)
    ]
