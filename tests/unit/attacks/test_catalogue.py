"""The catalogue of attacks: every line can be run, and says where it was published."""

from __future__ import annotations

import inspect
from operator import attrgetter

import pytest

import pipeline
from mia import params
from mia.attacks import scoring
from mia.catalogue import ATTACKS, NAMES, Attack

ATTACKS_OF_PARAMS = params.load(pipeline.ROOT / "params.yaml").attacks


def test_names_are_distinct_and_every_family_is_scored() -> None:
    assert len(set(NAMES)) == len(ATTACKS)
    assert {attack.family for attack in ATTACKS} == set(scoring.FAMILIES)


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_an_attack_is_a_documented_function_whose_settings_stand_in_params(attack: Attack) -> None:
    function = attack.load()
    assert function.__doc__
    assert attack.source
    known = inspect.signature(function).parameters
    for name, place in attack.settings.items():
        assert name in known
        attrgetter(place)(ATTACKS_OF_PARAMS)
    if attack.family in ("threshold", "reference"):  # nothing but what was seen is left without a value
        left = [name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty]
        assert len(set(left) - set(attack.settings)) == 1
