"""Encode masks as COCO's run lengths, and compute COCO's average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Any, Literal, NamedTuple, TypeAlias

from arrayseg._checks import (
    as_number,
    check_choice,
    check_index,
    check_numbers,
    check_pair,
    check_static,
    is_several,
    shown,
)
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of, common_backend, host
from arrayseg.imaging.mask_runs import Runs, runs_of_lengths, runs_of_masks
from arrayseg.metrics._compute import computed_from, nonzero, to_device
from arrayseg.metrics._inputs import check_num_classes

__all__ = ["DetectionMatches", "coco_average_precision", "match_detections", "rle_decode", "rle_encode"]

RunLengths: TypeAlias = Mapping[str, Any]


class DetectionMatches(NamedTuple):
    """The detections of one image, and at which IoU thresholds each of them is right.

    Parameters
    ----------
    scores : array
        Floating array `(P,)`, the confidences.
    labels : array of int
        Integers `(P,)`, the classes.
    matched : array of bool
        Booleans `(K, P)`, whether the detection matches a target at each threshold.
    ignored : array of bool
        Booleans `(K, P)`, whether it counts neither as right nor as wrong there.
    target_labels : array of int
        Integers `(T,)`, the classes of the targets that count.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> masks = np.asarray([[[1, 1], [0, 0]]], dtype=bool)
    >>> metrics.match_detections(masks, np.asarray([0.9]), masks, thresholds=[0.5]).matched
    array([[ True]])
    """

    scores: Array
    labels: Array
    matched: Array
    ignored: Array
    target_labels: Array

    def merged(self, other: DetectionMatches) -> DetectionMatches:
        """Refuse to add detections, whose elements are not counts."""
        msg = "Detections of several images do not add. Pass a list of them to `coco_average_precision`."
        raise TypeError(msg)


@raises_here
def rle_encode(mask: Array) -> dict[str, Any]:
    r"""Encode a mask as COCO's run lengths.

    .. math:: \text{the lengths of the runs of } 0, 1, 0, 1, \dots \text{ down the columns, one after the other}

    Parameters
    ----------
    mask : array of bool
        Boolean array `(H, W)`.

    Returns
    -------
    dict
        ``"size"``: `[H, W]`; ``"counts"``: the lengths as a string, in COCO's compressed form.

    Raises
    ------
    ValueError
        If there are not two axes.
    TypeError
        If the mask is not boolean.

    Notes
    -----
    The string holds the bytes that pycocotools returns. It is text because JSON needs text.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.rle_encode(np.asarray([[0, 1], [1, 1]], dtype=bool))
    {'size': [2, 2], 'counts': '13'}
    """
    backend = backend_of(mask, "mask")
    if mask.ndim != 2 or not backend.xp.isdtype(mask.dtype, "bool"):
        msg = f"`mask` must be a boolean array (H, W); got {mask.dtype} of shape {tuple(mask.shape)}."
        raise (ValueError if mask.ndim != 2 else TypeError)(msg)
    worker, (view,) = backend.shared_view(mask)
    xp = worker.xp
    flat = xp.reshape(xp.matrix_transpose(view), (-1,))
    # Before the first pixel comes a 0, so that a mask that begins with 1 has a run of 0 of no length.
    padded = xp.concat([xp.zeros(1, dtype=xp.bool, device=worker.device(flat)), flat])
    ends = [*worker.to_numpy(xp.nonzero(flat != padded[:-1])[0]).tolist(), flat.shape[0]]
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return {"size": [int(length) for length in mask.shape], "counts": _compress(lengths)}


@raises_here
def rle_decode(rle: RunLengths, *, like: Array | None = None) -> Array:
    r"""Decode COCO's run lengths to a mask.

    .. math:: \text{the lengths of the runs of } 0, 1, 0, 1, \dots \text{ down the columns, one after the other}

    Parameters
    ----------
    rle : mapping
        ``"size"``: `[H, W]`; ``"counts"``: a list of lengths, or the compressed string or bytes.
    like : array, optional
        An array whose library and device the mask gets. By default NumPy.

    Returns
    -------
    array
        Boolean array `(H, W)`.

    Raises
    ------
    ValueError
        If the lengths do not add up to H W.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.rle_decode({"size": [2, 2], "counts": "13"})
    array([[False,  True],
           [ True,  True]])
    """
    ((height, width, lengths),) = _lengths([rle])
    xp = host().xp
    flat = xp.repeat(xp.arange(lengths.shape[0]) % 2 == 1, lengths)
    mask = xp.matrix_transpose(xp.reshape(flat, (width, height)))
    if like is None:
        return mask
    backend = backend_of(like, "like")
    return backend.asarray(mask, dtype=backend.xp.bool, like=like)


@raises_here
def match_detections(
    prediction: Array | Sequence[RunLengths],
    scores: Array,
    target: Array | Sequence[RunLengths],
    *,
    labels: Array | None = None,
    target_labels: Array | None = None,
    crowd: Array | None = None,
    target_areas: Array | None = None,
    thresholds: float | Sequence[float] | None = None,
    area_range: tuple[float, float] = (0, inf),
    max_detections: int = 100,
) -> DetectionMatches:
    r"""Match the detections of one image to its targets, in the order of their confidence, by COCO's rules.

    .. math:: IoU_{pt} = \frac{|p \cap t|}{|p \cup t|}, \quad \frac{|p \cap t|}{|p|} \text{ where } t \text{ is a crowd}

    From the most confident one down, each detection takes the free target of its class with the largest IoU of at least
    the threshold.

    Parameters
    ----------
    prediction : array of bool or sequence of mappings
        Boolean masks `(P, H, W)`, which may overlap; or a sequence of run lengths, as `rle_decode` reads them.
    scores : array
        Floating array `(P,)`, the confidences.
    target : array of bool or sequence of mappings
        Boolean masks `(T, H, W)`, or a sequence of run lengths.
    labels, target_labels : array of int, optional
        Integers `(P,)` and `(T,)`, the classes. By default all are class 0.
    crowd : array of bool, optional
        Booleans `(T,)`, True for a region that any number of detections may lie in, which then count neither as right
        nor as wrong.
    target_areas : array, optional
        Array `(T,)` of areas for `area_range`, as in COCO's annotations. By default the pixels of the masks.
    thresholds : float or sequence of float, optional
        IoU thresholds, from 0 to 1. By default COCO's 0.5, 0.55, ..., 0.95, which are ``linspace(0.5, 0.95, 10)``. An
        IoU that equals the threshold is a match.
    area_range : pair of float, default (0, inf)
        Targets outside these areas do not count, nor do unmatched detections outside them. COCO's small objects have
        (0, 32**2), medium ones (32**2, 96**2), large ones (96**2, inf).
    max_detections : int, default 100
        Use at most this many detections of each class, the most confident ones.

    Returns
    -------
    DetectionMatches
        The detections that were used. Keep the results of all images for `coco_average_precision`.

    Raises
    ------
    ValueError
        If shapes do not fit, an option is out of range, or a confidence is nan.
    TypeError
        If array libraries are mixed, or a compiler traces the call.

    Notes
    -----
    The device finds the runs of the masks, and the host compares and matches them. It compares only masks of one class
    that may overlap. If prediction and target are both run lengths, none is decoded. The rules are pycocotools' rules.

    References
    ----------
    Lin and others, "Microsoft COCO: common objects in context", ECCV (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[[1, 1, 0], [1, 1, 0]], [[0, 0, 1], [0, 0, 0]]], dtype=bool)
    >>> prediction = np.asarray([[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [1, 1, 0]]], dtype=bool)
    >>> metrics.match_detections(prediction, np.asarray([0.9, 0.8]), target, thresholds=[0.5, 0.8]).matched
    array([[ True, False],
           [False, False]])
    """
    named = {"prediction": prediction, "target": target}
    arrays: dict[str, Any] = {name: masks for name, masks in named.items() if not isinstance(masks, Sequence)}
    numbered: dict[str, Any] = {
        "labels": labels,
        "target_labels": target_labels,
        "crowd": crowd,
        "target_areas": target_areas,
    }
    backend = common_backend(scores=scores, **arrays, **numbered)
    if not backend.is_concrete(scores, *arrays.values()):
        msg = "Detections are matched on the host, so no compiler can trace this function. Call it outside of it."
        raise TypeError(msg)
    levels = _levels(thresholds)
    smallest, largest = _area_range(area_range)
    max_detections = check_index("max_detections", max_detections, 0)
    detections, objects = _runs(prediction, target)
    sizes = {"scores": detections, "labels": detections}
    for name, array in {"scores": scores, **numbered}.items():
        number = sizes.get(name, objects).number
        if array is not None and tuple(array.shape) != (number,):
            msg = f"`{name}` must have shape ({number},), one for each mask; got {tuple(array.shape)}."
            raise ValueError(msg)
    areas, object_areas = detections.areas.tolist(), objects.areas.tolist()
    detection_class = _listed(backend, labels, areas, 0)
    target_class = _listed(backend, target_labels, object_areas, 0)
    crowded = [bool(flag) for flag in _listed(backend, crowd, object_areas, False)]
    sized = object_areas if target_areas is None else _listed(backend, target_areas, object_areas, 0)
    aside = [flag or not smallest <= area <= largest for flag, area in zip(crowded, sized, strict=True)]
    confidence = _listed(backend, scores, areas, 0)
    if any(score != score for score in confidence):  # noqa: PLR0124
        msg = "`scores` must hold a confidence for each detection; got nan, which has no place in their order."
        raise ValueError(msg)

    kept: list[int] = []
    found: dict[int, list[tuple[bool, bool]]] = {}
    for label in sorted(set(detection_class)):
        ranked = sorted((p for p, own in enumerate(detection_class) if own == label), key=lambda p: -confidence[p])
        # Targets that count come first, so that a detection takes one of the others only if it finds none of these.
        targets = sorted((t for t, own in enumerate(target_class) if own == label), key=lambda t: aside[t])
        ranked = ranked[:max_detections]
        kept += ranked
        overlap: dict[int, list[tuple[int, float]]] = {p: [] for p in ranked}
        for t in targets:
            for p, both in zip(ranked, objects.shared_pixels(t, detections, ranked), strict=True):
                union = areas[p] if crowded[t] else areas[p] + object_areas[t] - both
                overlap[p].append((t, both / (union or 1)))
        outside = {p for p in ranked if not smallest <= areas[p] <= largest}
        for p in ranked:
            found[p] = []
        for level in levels:
            hits = _assign(overlap, level, aside, crowded)
            for p in ranked:
                hit = hits.get(p)
                found[p].append((hit is not None, aside[hit] if hit is not None else p in outside))
    xp, shape = host().xp, (len(levels), len(kept))
    matched, ignored = ([found[p][k][part] for k in range(shape[0]) for p in kept] for part in (0, 1))
    counting = [label for label, out in zip(target_class, aside, strict=True) if not out]
    return DetectionMatches(
        to_device(backend, xp.asarray([confidence[p] for p in kept], dtype=xp.float64), scores),
        to_device(backend, xp.asarray([detection_class[p] for p in kept], dtype=xp.int64), scores),
        backend.asarray(xp.reshape(xp.asarray(matched, dtype=xp.bool), shape), dtype=backend.xp.bool, like=scores),
        backend.asarray(xp.reshape(xp.asarray(ignored, dtype=xp.bool), shape), dtype=backend.xp.bool, like=scores),
        to_device(backend, xp.asarray(counting, dtype=xp.int64), scores),
    )


@computed_from("match_detections(prediction, scores, target)", DetectionMatches, Sequence)
def coco_average_precision(
    matches: DetectionMatches | Sequence[DetectionMatches],
    *,
    num_classes: int = 1,
    reduction: Literal["mean", "none"] = "mean",
) -> Array:
    r"""Return COCO's average precision of masks, the mean precision at 101 levels of recall.

    .. math:: AP = \frac{1}{101} \sum_{r \in \{0, 0.01, \dots, 1\}} \max_{i : R_i \geq r} P_i

    with the recall R and precision P of the i most confident detections of all images.

    Parameters
    ----------
    matches : DetectionMatches or sequence of DetectionMatches
        The results of `match_detections` for one image, or a sequence with one for each image.
    num_classes : int, default 1
        C; classes are 0 to C - 1.
    reduction : {"mean", "none"}, default "mean"
        ``"mean"``: over the thresholds and the classes that have targets. ``"none"``: one score for each pair.

    Returns
    -------
    array
        Floating array: `()`, or `(K, C)`, with nan for a class without targets.

    Raises
    ------
    ValueError
        If there are no matches.
    TypeError
        If `matches` are something else.

    Notes
    -----
    The values equal pycocotools' values, where -1 stands for nan. For AP50, pass ``thresholds=[0.5]`` to
    `match_detections`. Boundary AP, which also compares the boundaries of the masks, is not supported.

    References
    ----------
    Lin and others, "Microsoft COCO: common objects in context", ECCV (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> masks = np.asarray([[[1, 1, 0]], [[0, 0, 1]]], dtype=bool)
    >>> image = metrics.match_detections(masks[:1, ...], np.asarray([0.9]), masks)
    >>> round(float(metrics.coco_average_precision([image])), 6)
    0.50495
    """
    num_classes = check_num_classes(num_classes)
    check_choice("reduction", reduction, ("mean", "none"))
    matches = [matches] if isinstance(matches, DetectionMatches) else matches
    other = [type(image).__name__ for image in matches if not isinstance(image, DetectionMatches)]
    if not matches or other:
        msg = f"`matches` must hold what `match_detections` returns, of each image; got {(other or ['none'])[0]}."
        raise (TypeError if other else ValueError)(msg)
    like = matches[0].scores
    backend = backend_of(like, "matches")
    scores, labels, matched, ignored, targets = (
        host().xp.concat([backend.to_numpy(part) for part in parts], axis=-1) for parts in zip(*matches, strict=True)
    )
    xp = host().xp
    order = xp.argsort(scores, descending=True, stable=True)
    precisions = []
    for label in range(num_classes):
        chosen = order[labels[order] == label]
        positives = int(xp.count_nonzero(targets == label))
        precisions.append(
            [_area_of_101(hit[chosen], out[chosen], positives) for hit, out in zip(matched, ignored, strict=True)]
        )
    table = xp.matrix_transpose(xp.asarray(precisions, dtype=xp.float64))
    if reduction == "mean":
        there = table[~xp.isnan(table)]
        table = xp.mean(there) if there.shape[0] else xp.asarray(xp.nan)
    return backend.xp.astype(to_device(backend, table, like), backend.sum_dtype(like), copy=False)


def _area_of_101(matched: Array, ignored: Array, positives: int) -> float:
    """Return the mean precision at 101 recalls, from detections in descending confidence; nan without targets."""
    xp = host().xp
    if positives == 0:
        return float("nan")
    hits = xp.cumulative_sum(xp.astype(matched & ~ignored, xp.float64))
    wrong = xp.cumulative_sum(xp.astype(~matched & ~ignored, xp.float64))
    total = hits + wrong
    precision = (hits / nonzero(xp, total)).tolist()
    # The best precision at this recall or a higher one.
    envelope = [*reversed(list(accumulate(reversed(precision), max))), 0.0]
    levels = xp.linspace(0.0, 1.0, 101)
    ranks: list[int] = xp.searchsorted(hits / positives, levels, side="left").tolist()
    return sum(float(envelope[rank]) for rank in ranks) / 101


def _levels(thresholds: float | Sequence[float] | None) -> tuple[float, ...]:
    """Return the IoU thresholds. The default is computed as in COCO's code, where 0.85 is not 0.5 + 7 x 0.05."""
    if thresholds is None:
        return tuple(host().xp.linspace(0.5, 0.95, 10).tolist())
    check_static("thresholds", thresholds)
    return check_numbers("thresholds", thresholds if is_several(thresholds) else (thresholds,), 0, 1)


def _area_range(area_range: tuple[float, float]) -> tuple[float, float]:
    """Return the smallest and the largest area; the largest may be infinite."""
    pair = check_pair("area_range", area_range, "areas, the smallest and the largest, such as (0, 32**2)")
    smallest, largest = (as_number("area_range", area) for area in pair)
    if not 0 <= smallest <= largest:
        msg = f"`area_range` must be the smallest and the largest area, such as (0, 32**2); got {area_range}."
        raise ValueError(msg)
    return smallest, largest


def _assign(
    overlap: Mapping[int, Sequence[tuple[int, float]]], level: float, aside: Sequence[bool], crowded: Sequence[bool]
) -> dict[int, int]:
    """Return the matched target of each detection, chosen by overlap from its candidates; the last of equal ones."""
    taken: set[int] = set()
    hits: dict[int, int] = {}
    least = min(level, 1 - 1e-10)
    for p, candidates in overlap.items():
        best, chosen = least, None
        for t, value in candidates:
            if value < best or (t in taken and not crowded[t]):
                continue
            if chosen is not None and not aside[chosen] and aside[t]:
                break
            best, chosen = value, t
        if chosen is not None:
            hits[p] = chosen
            taken.add(chosen)
    return hits


def _runs(prediction: Array | Sequence[RunLengths], target: Array | Sequence[RunLengths]) -> tuple[Runs, Runs]:
    """Return the runs of all masks, along the rows, or down the columns if both are given as run lengths."""
    both = prediction, target
    if all(isinstance(masks, Sequence) for masks in both):
        read = [_lengths(masks) for masks in both]
        sizes = {(height, width) for lengths in read for height, width, _ in lengths}
        _check_one_size(sizes)
        first, second = (runs_of_lengths([lengths for _, _, lengths in masks]) for masks in read)
        return first, second
    arrays = [_dense(masks) if isinstance(masks, Sequence) else masks for masks in both]
    for name, masks in zip(("prediction", "target"), arrays, strict=True):
        if masks.ndim != 3 or not backend_of(masks, name).xp.isdtype(masks.dtype, "bool"):
            msg = f"`{name}` must hold boolean masks (n, H, W); got {masks.dtype} of shape {tuple(masks.shape)}."
            raise ValueError(msg)
    _check_one_size({tuple(masks.shape[1:]) for masks in arrays if masks.shape[0]})
    first, second = (runs_of_masks(backend_of(masks), masks) for masks in arrays)
    return first, second


def _dense(masks: Sequence[RunLengths]) -> Array:
    """Decode run lengths to masks `(n, H, W)` on the host."""
    xp = host().xp
    _check_one_size({_size(rle) for rle in masks})
    return xp.stack([rle_decode(rle) for rle in masks]) if masks else xp.zeros((0, 0, 0), dtype=xp.bool)


def _check_one_size(sizes: set[tuple[int, int]]) -> None:
    if len(sizes) > 1:
        msg = f"Masks must be of one image; got shapes {', '.join(map(str, sorted(sizes)))}."
        raise ValueError(msg)


def _lengths(masks: Sequence[RunLengths]) -> list[tuple[int, int, Array]]:
    """Return the height and width of each mask and the lengths of its runs, on the host."""
    xp = host().xp
    sizes = [_size(rle) for rle in masks]
    counts = [rle["counts"] for rle in masks]
    texts = [each.encode() if isinstance(each, str) else each for each in counts if isinstance(each, str | bytes)]
    expanded = iter(_expand(texts))
    read = []
    for (height, width), each in zip(sizes, counts, strict=True):
        lengths = next(expanded) if isinstance(each, str | bytes) else _whole(each)
        total = int(xp.sum(lengths))
        if total != height * width or xp.any(lengths < 0):
            msg = (
                f"The run lengths add up to {total}, but a mask of {height} x {width} has {height * width} pixels; "
                "none may be negative."
            )
            raise ValueError(msg)
        read.append((height, width, lengths))
    return read


def _size(rle: RunLengths) -> tuple[int, int]:
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        msg = f'Run lengths must be a dictionary with "size" and "counts", as rle_encode returns; got {shown(rle)}.'
        raise TypeError(msg)
    height, width = check_pair("size", rle["size"], "numbers, the height and the width of the mask")
    return check_index("size", height, 0), check_index("size", width, 0)


def _whole(counts: Sequence[int]) -> Array:
    """Return the run lengths of a list as integers."""
    xp = host().xp
    lengths = xp.asarray(counts)
    if lengths.ndim != 1 or (lengths.shape[0] and not xp.isdtype(lengths.dtype, "integral")):
        msg = f"The run lengths of a mask must be whole numbers, or a compressed string; got {lengths.dtype}."
        raise TypeError(msg)
    return xp.astype(lengths, xp.int64)


def _listed(backend: Backend, array: Array | None, like: Sequence[float], fill: Any) -> list[Any]:
    """Return the elements as Python numbers; without an array, `fill` for each element of `like`."""
    return [fill] * len(like) if array is None else list(backend.to_numpy(array).tolist())


def _compress(lengths: Sequence[int]) -> str:
    """Write lengths as COCO's text, five bits a character, lowest first.

    From the fourth length on, the text holds the difference to the length before the last.
    """
    text = []
    for position, length in enumerate(lengths):
        number = length - lengths[position - 2] if position > 2 else length
        more = True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text.append(chr(48 + (bits | 32 if more else bits)))
    return "".join(text)


def _expand(texts: Sequence[bytes]) -> list[Array]:
    """Read the lengths of each of COCO's texts, as `_compress` writes them."""
    xp = host().xp
    bits = xp.asarray(list(b"".join(texts)), dtype=xp.int64) - 48
    (last,) = xp.nonzero((bits & 32) == 0)
    characters = xp.concat([last[:1] + 1, last[1:] - last[:-1]])
    first = last - characters + 1
    # The place of each character in its number, and the sum of all characters before it.
    place = xp.arange(bits.shape[0])[: int(xp.sum(characters))] - xp.repeat(first, characters)
    sums = xp.cumulative_sum((bits[: place.shape[0]] & 31) << (5 * place), include_initial=True)
    numbers = xp.take(sums, last + 1) - xp.take(sums, first)
    numbers = numbers - xp.where((bits[last] & 16) > 0, 1 << (5 * characters), xp.zeros_like(last))
    ends = xp.cumulative_sum(xp.asarray([len(text) for text in texts], dtype=xp.int64), include_initial=True)
    bounds = xp.searchsorted(last, ends).tolist()
    return [_summed(numbers[start:stop]) for start, stop in pairwise(bounds)]


def _summed(numbers: Array) -> Array:
    """Return lengths, from differences to the length before the last."""
    xp = host().xp
    lengths = xp.asarray(numbers, copy=True)
    for start in (1, 2):
        lengths[start::2] = xp.cumulative_sum(numbers[start::2])
    return lengths
