"""First weights of any network: its own, the same for one seed, and never memory that nobody wrote."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mia import params_audit
from mia.errors import InputError
from mia.models import building, networks

SHAPE = (8, 8, 1)


class Any(nn.Module):
    """Layers that none of our architectures has: normalisations, an embedding, a bare parameter, a hidden buffer."""

    SMALLEST = 1

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 6), nn.GroupNorm(2, 6), nn.BatchNorm1d(6))
        self.embedding = nn.Embedding(3, 6)
        self.bare = nn.Parameter(torch.randn(6))
        self.register_buffer("hidden", torch.full((6,), 2.0), persistent=False)
        self.last = nn.Linear(6, n_classes)


class Empty(Any):
    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__(shape, n_classes)
        self.bare = nn.Parameter(torch.full((6,), float("nan")))


class Drawn(Any):
    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__(shape, n_classes)
        self.bare = nn.Parameter(torch.randn(6, generator=Drawn.of_its_own))

    of_its_own = torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"any": Any, "empty": Empty, "drawn": Drawn}
    of = networks.of
    monkeypatch.setattr(networks, "of", lambda name: kinds.get(name) or of(name))


def test_every_layer_has_the_first_weights_that_it_makes_itself() -> None:
    made = building.create("any", SHAPE, 3, seed=5)
    torch.manual_seed(5)
    for (name, value), (_, twin) in zip(made.state_dict().items(), Any(SHAPE, 3).state_dict().items(), strict=True):
        assert torch.equal(value, twin), name
    building.check("any", SHAPE, 3)


def test_torchs_own_generator_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    building.create("any", SHAPE, 3, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "empty: bare begins with values that are not finite; initialise it"),
        (
            "drawn",
            "drawn: bare differs between two models of one seed; draw its first values from torch's own generator",
        ),
    ],
)
def test_a_network_whose_first_weights_hang_on_something_else_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        building.check(name, SHAPE, 3)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", params_audit.architectures())
def test_our_own_pass(name: str) -> None:
    building.check(name, SHAPE, 3)


def test_batch_normalisation_is_found_inside_and_not_by_name() -> None:
    assert building.compares_records(building.outline("any", SHAPE, 3))
    assert not building.compares_records(nn.Sequential(nn.LayerNorm(3), nn.GroupNorm(1, 3)))


def test_an_architecture_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (tmp_path / "own.py").write_text((networks.FOLDER / "shokri_mlp.py").read_text())
    monkeypatch.setattr(params_audit, "NETWORKS", tmp_path)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    assert params_audit.architectures() == ["own"]
    assert networks.of("own").SMALLEST == 1
    monkeypatch.delitem(sys.modules, "mia.models.networks.own")
    importlib.invalidate_caches()


def test_a_declaration_is_of_one_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.json"
    with pytest.raises(InputError, match="network.json: no such file; `dvc repro` makes it anew"):
        networks.declared(path, "resnet18")
    networks.declare(path, "resnet18")
    networks.declared(path, "resnet18")
    with pytest.raises(InputError, match="network.json: made for another version of shokri_cnn; `dvc repro`"):
        networks.declared(path, "shokri_cnn")
    monkeypatch.setattr(networks, "digest", lambda _: "another")
    with pytest.raises(InputError, match="network.json: made for another version of resnet18; `dvc repro`"):
        networks.declared(path, "resnet18")
    path.write_text(path.read_text().replace("resnet18", "resnet19"))
    with pytest.raises(InputError, match="network.json: not what `split` writes .* damaged.*; delete it"):
        networks.declared(path, "resnet18")
