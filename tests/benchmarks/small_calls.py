"""Time losses of a small image next to the shortest form by hand: `python tests/benchmarks/small_calls.py`.

Both give the value and the gradient of float32 logits (1, 4, 64, 64). The forms by hand have no checks and no options.
Each pair runs in turn on one thread; the processor time of the fastest round counts.
"""

import os
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

os.environ["ARRAYSEG_NUM_THREADS"] = "1"

import numpy as np

import arrayseg
from arrayseg import losses

SHAPE = (1, 4, 64, 64)
ROUNDS, CALLS = 40, 50


def cross_entropy_by_hand(logits: Any, ids: Any) -> tuple[float, Any]:
    """Return the cross entropy and its gradient, on NumPy."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    one_hot = ids[:, None] == np.arange(logits.shape[1])[:, None, None]
    value = -np.log(probabilities[one_hot]).mean()
    return value, (probabilities - one_hot) / ids.size


def dice_by_hand(logits: Any, ids: Any, smooth: float = 1e-5) -> tuple[float, Any]:
    """Return the Dice loss and its gradient, on NumPy."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    target = (ids[:, None] == np.arange(logits.shape[1])[:, None, None]).astype(logits.dtype)
    sums = [array.sum(axis=(2, 3), keepdims=True) for array in (probabilities * target, probabilities + target)]
    numerator, denominator = 2 * sums[0] + smooth, sums[1] + smooth
    scale = 1 / (numerator.size * denominator)
    gradient = scale * (numerator / denominator - 2 * target)
    gradient = probabilities * (gradient - (gradient * probabilities).sum(axis=1, keepdims=True))
    return 1 - (numerator / denominator).mean(), gradient


def calls(loss: str) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return a loss of arrayseg and the form by hand, for each library that is installed."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=SHAPE).astype(np.float32)
    ids = rng.integers(0, SHAPE[1], size=(SHAPE[0], *SHAPE[2:]))
    by_hand = {"cross_entropy": cross_entropy_by_hand, "dice": dice_by_hand}[loss]
    ours = getattr(losses, loss)
    found = {"numpy": (partial(arrayseg.value_and_grad(ours), logits, ids), partial(by_hand, logits, ids))}
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    tensor, target = torch.asarray(logits).requires_grad_(), torch.asarray(ids)

    def dice(input: Any, target: Any, smooth: float = 1e-5) -> Any:
        probabilities = input.softmax(dim=1)
        one_hot = torch.nn.functional.one_hot(target, SHAPE[1]).movedim(-1, 1)
        intersection, total = (probabilities * one_hot).sum((2, 3)), (probabilities + one_hot).sum((2, 3))
        return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()

    plain = {"cross_entropy": torch.nn.functional.cross_entropy, "dice": dice}[loss]

    def differentiated(function: Callable[..., Any]) -> None:
        tensor.grad = None
        function(tensor, target).backward()

    return found | {"torch": (partial(differentiated, ours), partial(differentiated, plain))}


def fastest(pair: tuple[Callable[[], object], ...]) -> list[float]:
    """Return the processor seconds of one call of each, from the fastest of the rounds."""
    best = [float("inf")] * len(pair)
    for _ in range(ROUNDS):
        for place, call in enumerate(pair):
            start = process_time()
            for _ in range(CALLS):
                call()
            best[place] = min(best[place], (process_time() - start) / CALLS)
    return best


def main() -> None:
    """Print a table in Markdown."""
    print("| loss | library | arrayseg, µs | by hand, µs | ratio |\n|---|---|--:|--:|--:|")
    for loss in ("cross_entropy", "dice"):
        for library, pair in calls(loss).items():
            ours, by_hand = fastest(pair)
            print(f"| {loss} | {library} | {ours * 1e6:.0f} | {by_hand * 1e6:.0f} | {ours / by_hand:.2f} |", flush=True)


if __name__ == "__main__":
    main()
