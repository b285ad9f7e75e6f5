"""The dense network for rows: it is the paper's, trains as torch's own classes do, and needs no pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mia.errors import InputError
from mia.models import families, kept_models
from mia.models.networks.shokri_mlp import Network
from mia.models.perceptron import ShokriMLP
from mia.store import skops_writing

PLACE = "audits/people/params.yaml: target.settings"


def world(count: int = 150, columns: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows whose class is whether two columns have one sign, which no line tells."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, columns))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def test_training_is_that_of_torch_s_own_classes() -> None:
    """The slow twin: the same network, torch.optim.Adam, the same order of records."""
    x, y = world()
    fitted = ShokriMLP(epochs=3, batch_size=40, weight_decay=0.01, label_smoothing=0.1, random_state=7).fit(x, y)
    torch.manual_seed(7)
    network = Network((1, 5, 1), 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, weight_decay=0.01)
    rng = np.random.default_rng(7)
    for _ in range(3):
        order = rng.permutation(150)
        for start in range(0, 150, 40):
            rows = order[start : start + 40]
            optimizer.zero_grad()
            logits = network(torch.tensor(x[rows], dtype=torch.float32))
            nn.functional.cross_entropy(logits, torch.tensor(y[rows]), label_smoothing=0.1).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    expected = network(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(fitted.decision_function(x), expected, atol=1e-4)
    assert fitted.weights_["dense.weight"].shape == (128, 5)


def test_it_learns_what_no_line_tells() -> None:
    x, y = world(600)
    fitted = ShokriMLP(epochs=60, learning_rate=0.01).fit(x[:400], y[:400])
    assert (fitted.predict(x[:400]) == y[:400]).mean() > 0.97
    assert (fitted.predict(x[400:]) == y[400:]).mean() > 0.85


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_hang_on_the_seed_alone_and_torch_is_left_as_it_was(threads: int) -> None:
    x, y = world()
    expected = ShokriMLP(epochs=2, random_state=3).fit(x, y).decision_function(x)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    state = torch.get_rng_state()
    try:
        again = ShokriMLP(epochs=2, random_state=3).fit(x, y).decision_function(x)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (again == expected).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert (ShokriMLP(epochs=2, random_state=4).fit(x, y).decision_function(x) != expected).any()


SETTINGS: dict[str, Any] = {
    "epochs": 40,
    "batch_size": 8,
    "learning_rate": 0.1,
    "weight_decay": 0.5,
    "label_smoothing": 0.3,
}


def test_every_setting_matters() -> None:
    x, y = world(80)
    plain = ShokriMLP(epochs=5).fit(x, y).decision_function(x)
    assert set(SETTINGS) | {"random_state"} == set(ShokriMLP().get_params())
    for name, value in SETTINGS.items():
        assert (ShokriMLP(**{"epochs": 5, name: value}).fit(x, y).decision_function(x) != plain).any(), name


def test_settings_that_cannot_be_are_refused_all_at_once() -> None:
    x, y = world(40)
    wrong = {"epochs": 0, "batch_size": 2.5, "learning_rate": float("nan"), "weight_decay": "a", "label_smoothing": 1}
    with pytest.raises(InputError) as raised:
        families.OfFamily("shokri_mlp", wrong, 0, PLACE).fit(x.reshape(40, 5, 1, 1), y)
    assert str(raised.value) == (
        f"{PLACE}: ShokriMLP: epochs: expected a whole number of at least 1, got 0; "
        "batch_size: expected a whole number of at least 1, got 2.5; "
        "learning_rate: expected a number above 0, got nan; "
        "weight_decay: expected a number of at least 0, got 'a'; "
        "label_smoothing: expected a number of at least 0 and below 1, got 1"
    )
    with pytest.raises(InputError, match=r"target.settings.epoch: no setting of ShokriMLP; did you mean 'epochs'\?"):
        families.OfFamily("shokri_mlp", {"epoch": 3}, 0, PLACE)


def test_it_is_stored_without_pickle_and_answers_the_same_when_it_is_read() -> None:
    x, y = world()
    images = (100 + 20 * x.reshape(150, 5, 1, 1)).clip(0, 255).astype(np.uint8)
    model = families.OfFamily("shokri_mlp", {"epochs": 2}, 0, PLACE).fit(images, y)
    files = kept_models.files(model)
    assert set(files) == {"skops"}
    skops = skops_writing.skops_io()
    foreign = skops.get_untrusted_types(data=files["skops"])
    assert not [name for name in foreign if not name.startswith(("sklearn.", "numpy.", "mia.models.perceptron."))]
    read = skops.loads(files["skops"], trusted=foreign)
    assert (read.decision_function(families._columns(images)) == model.decision_function(images)).all()
    assert kept_models.files(families.OfFamily("shokri_mlp", {"epochs": 2}, 0, PLACE).fit(images, y)) == files
