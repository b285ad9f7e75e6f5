"""What is tried of a network that is none of ours before hours are spent: on a few records, in seconds."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia.data.records import Records
from mia.errors import InputError
from mia.models import building, checkpoints, networks, query, recipe_checks, training
from mia.models.checkpoints import Stored
from mia.models.learners import Single, Stack
from mia.models.lessons import Lesson
from mia.params_audit import Recipe

RECORDS = 32
OF_TORCHVISION = 16  # records: its layers are known, and a large network takes a second for each on a busy core
ALONE = 4  # records that are also queried twice, and one by one
NEAR = 1e-6  # of the largest number in float64: how far two models' sums in another order may lie apart


def check(recipe: Recipe, records: Records) -> int:
    """Make a network of the recipe, train it on a few records, and query it, the user's own in several ways.

    Returns how many records these were. Raises InputError with a line a fault.
    """
    own, place = networks.is_own(recipe.architecture), networks.place(recipe.architecture)
    few = records.take(recipe_checks.sample(records)[: RECORDS if own else OF_TORCHVISION])
    network = recipe.architecture, few.images.shape[1:], len(few.classes)
    building.check(*network)
    faults: list[str] = []
    with _own_code(place, len(few)):
        if own:
            made, other = (building.create(*network, 1, recipe.scaling) for _ in range(2))
            faults = _untrained(made, other, few)
        faults = faults or _trained(recipe, few, own=own)
    if faults:
        raise InputError("\n".join(f"{place}: {fault}" for fault in faults))
    return len(few)


@contextmanager
def _own_code(place: str, count: int) -> Iterator[None]:
    """What the network's own layers raise, in one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(f"{place}: tried on {count} records: {type(error).__name__}: {said}") from error


def _untrained(made: nn.Module, other: nn.Module, few: Records) -> list[str]:
    """The fault of two networks of one seed: as they are, in a forward pass, and in what is left of one when stored."""
    if made is other:
        return ["expected a new network at each call, got the same object twice"]
    if odd := [name for name, value in made.state_dict().items() if not isinstance(value, Tensor)]:
        return [f"expected a state_dict of tensors, got {odd[0]}, which cannot be stored; leave it out"]
    if not any(parameter.requires_grad for parameter in made.parameters()):
        return ["expected parameters to train, got none with requires_grad; let it train one"]
    expected = (len(few), len(few.classes))
    inputs = building.to_input(few.images)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        answers = made.train()(inputs)
        if not isinstance(answers, Tensor):
            return [f"expected logits as one tensor, got {type(answers).__name__}; return the logits alone"]
        if tuple(answers.shape) != expected or not answers.is_floating_point():
            got = f"{str(answers.dtype).removeprefix('torch.')} of {_by(tuple(answers.shape))}"
            return [f"expected logits, a row a record and a column a class, {_by(expected)}, got {got}"]
        if not torch.isfinite(answers).all():
            return ["expected finite logits before any training, got others; look at its first weights"]
        if (answers >= 0).all() and ((answers.sum(1) - 1).abs() < recipe_checks.CLOSE).all():
            return ["expected logits, got probabilities that add up to 1; leave the softmax out"]
        other.load_state_dict(made.state_dict())
        kept, back = (_seeded(model.eval(), inputs) for model in (made, other))
        if _apart(kept, back) > recipe_checks.CLOSE:
            return ["answers otherwise once it is stored and read; make what it keeps a parameter or a buffer"]
    return []


def _seeded(model: nn.Module, inputs: Tensor) -> Tensor:
    torch.manual_seed(0)  # two with dropout left on drop the same
    answers: Tensor = model(inputs)
    return answers


def _trained(recipe: Recipe, few: Records, *, own: bool) -> list[str]:
    """Faults of a short training, and of what the model answers. own: also of two of one seed, and from query to query.

    The few are queried between two queries of ALONE of them: the model must remember none.
    """
    half = len(few) // 2
    lesson = Lesson(0, np.arange(half), np.arange(half, len(few)), 1, 2, 3)
    quick = recipe.model_copy(update={"epochs": 1})
    first, *again = (
        training.train(few.images, few.labels, len(few.classes), quick, None, [lesson])[0] for _ in range(1 + own)
    )
    model = checkpoints.build(Stored(Path("models/0.safetensors"), first.description, first.weights))
    asked = few.images[:ALONE]
    before = query.logits(model, asked) if own else None
    answers = query.logits(model, few.images)
    if not np.isfinite(answers).all():
        return ["expected finite logits after an epoch, got others; lower learning_rate, or mend the network"]
    if before is None:
        return []
    faults, later = [], query.logits(model, asked)
    alone = np.concatenate([query.logits(model, asked[k : k + 1]) for k in range(len(asked))])
    if any(model.weights != first.weights for model in again):
        faults.append("two trainings of one seed differ; let layers draw from torch's own generator alone")
    if (worst := _apart(before, later)) > recipe_checks.CLOSE:
        faults.append(
            f"a second query of the same records differs by {worst:.2g}; is dropout on in eval(), or are records kept?"
        )
    elif (worst := _apart(answers[:ALONE], alone)) > recipe_checks.CLOSE:
        faults.append(
            f"a record alone is answered otherwise than among others, by {worst:.2g}; an answer must not depend on "
            "other records in eval()"
        )
    return faults


def together(architecture: str, shape: tuple[int, int, int], n_classes: int, at_most: int) -> int:
    """How many models of a network that is none of ours train in the same steps: at_most, or 1, which is said.

    Two are tried: a stacked step must give each the numbers that it has alone, and none of their layers may draw, since
    in one vectorised pass each would not draw as it does alone.
    """
    why = _unlike(architecture, shape, n_classes)
    if why is None:
        return at_most
    place = networks.place(architecture)
    print(f"{place}: {why}: shadow.together: {at_most} has no effect, models train one by one", file=sys.stderr)
    return 1


def _unlike(architecture: str, shape: tuple[int, int, int], n_classes: int) -> str | None:
    """Why two models cannot be trained in the same steps; None: they can."""
    made = [building.create(architecture, shape, n_classes, seed).double() for seed in (1, 2)]
    inputs = torch.randn(2, 4, shape[2], *shape[:2], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single = [Single(copy.deepcopy(model), channels_last=False) for model in made]
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        apart = [model(inputs[k : k + 1], slice(None)) for k, model in enumerate(single)]
        if not torch.equal(before, torch.get_rng_state()):
            return "layers draw, as dropout does"
        try:
            stack = Stack(made)
            stacked = stack(inputs, slice(None))
            stacked.square().sum().backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever torch.func cannot do with its layers
            return f"layers cannot be stacked ({' '.join(str(error).split())[:100]})"
    torch.stack([answers.square().sum() for answers in apart]).sum().backward()  # type: ignore[no-untyped-call]
    for k, model in enumerate(single):
        pairs = [(stacked[k], apart[k][0])]
        pairs += [(stack.buffers[name][k], value) for name, value in model.model.named_buffers()]
        for name, parameter in model.model.named_parameters():
            gradient = stack.weights[name].grad
            if (gradient is None) != (parameter.grad is None):
                return "layers give other gradients when they are stacked"
            if gradient is not None and parameter.grad is not None:
                pairs.append((gradient[k], parameter.grad))
        if any(_apart(ours.detach(), theirs.detach()) > NEAR for ours, theirs in pairs):
            return "layers give other numbers when they are stacked"
    return None


def _apart(first: Tensor | NDArray[np.float32], second: Tensor | NDArray[np.float32]) -> float:
    """The largest difference, of the largest number where that is above 1."""
    one, other = (np.asarray(values, np.float64) for values in (first, second))
    return float(np.abs(one - other).max(initial=0) / max(1.0, np.abs(one).max(initial=0)))


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
