"""Answers from a folder that siamesekit exported: ``Reader(folder).predict(X)``."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

CPU = "CPUExecutionProvider"
M1, M2, M3 = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Reader:
    """What is wrong with an input is a `ValueError`; scores are higher = more alike."""

    def __init__(self, folder: Any = Path(__file__).parent) -> None:
        from onnxruntime import InferenceSession

        self.facts: dict[str, Any] = json.loads((Path(folder) / "serving.json").read_bytes())
        if self.facts["format"] != 1:
            raise ValueError(f"{folder} has format {self.facts['format']}; this reader reads 1")
        data = {k: (Path(folder) / f["file"]).read_bytes() for k, f in self.facts["files"].items()}
        for stem, own in data.items():
            if hashlib.sha256(own).hexdigest() != self.facts["files"][stem]["sha256"]:
                raise ValueError(f"{folder} is damaged: {stem}")
        self.arrays = dict(np.load(io.BytesIO(data.pop("arrays")), allow_pickle=False))
        self.networks = {k: InferenceSession(v, providers=[CPU]) for k, v in data.items()}
        self.classes = self._labels("classes")

    def transform(self, X: Any) -> Any:
        return self._embed(self._items(X))

    def similarity(self, A: Any, B: Any) -> Any:
        return self._probability(self._cross(self.transform(A), self.transform(B))).astype("f4")

    def predict(self, X: Any, B: Any = None, threshold: float | None = None) -> Any:
        if B is not None:  # of a verifier: are X and B of one class, pair by pair?
            cut = self.facts["threshold"] if threshold is None else threshold
            return self.decision_function(X, B) >= cut
        labels, _, unknown = self.identify(X, 1)[:3]
        label = "classes" if self.facts["unknown_label"] is None else "unknown_label"
        return np.where(unknown, self._labels(label)[0], labels[:, 0])

    def predict_proba(self, X: Any, B: Any = None) -> Any:
        if B is not None:
            same = self._probability(self.decision_function(X, B))
            return np.stack([1 - same, same], axis=1)
        odds = self._class_scores(self.transform(X)) * self.facts["proba_slope"]
        return (odds := np.exp(odds - odds.max(1, keepdims=True))) / odds.sum(1, keepdims=True)

    def identify(self, X: Any, k: int = 5) -> tuple[Any, ...]:
        """Return labels, scores, which are unknown, probabilities, and that of the unknown."""
        items, slope, cut = self._items(X), self.facts["proba_slope"], self.facts["threshold"]
        scores = self._class_scores(self._embed(items))
        # Equally good classes are ordered by hashes of the item and of the class (SplitMix64).
        rows = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in items]
        x = np.array([int.from_bytes(row, "little") for row in rows], "u8")[:, None]
        x = x + self.arrays["digests"] * M1
        x = (x ^ (x >> np.uint64(30))) * M2
        x = (x ^ (x >> np.uint64(27))) * M3
        order = np.lexsort((x ^ (x >> np.uint64(31)), -scores))[:, :k]
        best = np.take_along_axis(scores, order, 1)
        nobody = np.full(len(best), -np.inf if cut is None else slope * cut)
        unknown = best[:, 0] < (-np.inf if cut is None else cut)
        total = np.logaddexp(np.logaddexp.reduce(scores * slope, axis=1), nobody)
        chances = np.exp(best * slope - total[:, None]), np.exp(nobody - total)
        return self.classes[order], best.astype("f4"), unknown, *chances

    def verify(self, X: Any, y: Any, threshold: float | None = None) -> Any:
        scores = self._class_scores(self.transform(X))
        hits = np.broadcast_to(np.asarray(y), (len(scores),))[:, None] == self.classes
        if not hits.any(1).all():
            raise ValueError("y must hold enrolled classes")
        return scores[hits].astype("f4") if threshold is None else scores[hits] >= threshold

    def decision_function(self, A: Any, B: Any) -> Any:
        a, b = self._ready(self.transform(A)), self._ready(self.transform(B))
        if len(a) != len(b):
            raise ValueError(f"A and B must be as many; got {len(a)} and {len(b)}")
        return self._pairs(a, b).astype("f8")

    def _labels(self, name: str) -> Any:
        return np.array(self.facts[name]["values"], self.facts[name]["dtype"])

    def _probability(self, scores: Any) -> Any:
        ratio = np.polyval(self.facts["calibration"], scores.astype("f8"))
        return 1 / (1 + np.exp(-np.clip(ratio, -700, 700)))

    def _class_scores(self, queries: Any) -> Any:
        if not len(self.classes):
            raise ValueError("nobody is enrolled")
        scores = self._cross(queries, self.arrays["supports"]).astype("f8")
        ends = self.arrays["ends"]
        if self.facts["aggregate"] == "max":
            return np.maximum.reduceat(scores, ends[:-1], axis=1)
        first, counts = scores[:, ends[:-1]], np.diff(ends)
        off = np.add.reduceat(scores - first.repeat(counts, axis=1), ends[:-1], axis=1)
        return (first + off / counts).astype("f4").astype("f8")

    def _cross(self, a: Any, b: Any) -> Any:
        a, b = self._ready(a), self._ready(b)
        return np.stack([self._pairs(np.broadcast_to(row, b.shape), b) for row in a])

    def _ready(self, z: Any) -> Any:
        if self.facts["head"] != "cosine":
            return z
        length = np.sqrt(np.square(z.astype("f8")).sum(1, keepdims=True))
        return (z / np.where(length == 0, 1, length)).astype("f4")

    def _pairs(self, a: Any, b: Any) -> Any:
        head, off = self.facts["head"], a.astype("f8") - b
        if head is None:
            scores = self.networks["head"].run(None, {"a": np.ascontiguousarray(a), "b": b})[0]
        elif head in ("l1", "squared"):
            off = np.abs(off) if head == "l1" else off * off
            scores = (off * self.arrays["weight"]).sum(1) + self.arrays["bias"]
        else:
            scores = -np.square(off).sum(1)
            if head == "cosine":
                scores = np.where(a.any(1) & b.any(1), np.maximum(scores / 2, -2), -1)
            scores = -np.sqrt(-scores) if head == "euclidean" else scores
        return _finite(scores.astype("f4"), "have a finite score")

    def _embed(self, items: Any) -> Any:
        floats = items.astype("f4") / np.float32(255 if items.dtype == np.uint8 else 1)
        parts = [{"items": floats[i : i + 256]} for i in range(0, len(floats), 256)]
        found = [self.networks["embedder"].run(None, part)[0] for part in parts]
        return _finite(np.concatenate(found), "have a finite embedding")

    def _items(self, X: Any) -> Any:
        """Return items as they were in training: uint8, bool or float32."""
        X, shape, scale = np.asarray(X), tuple(self.facts["input_shape"]), self.arrays.get("scale")
        X = X[:, None] if X.ndim == 3 else X
        if X.ndim == 4 and X.shape[1:] != shape and (X.shape[3], *X.shape[1:3]) == shape:
            X = X.transpose(0, 3, 1, 2)
        if X.shape[1:] != shape or X.dtype.kind not in "biuf" or not len(X):
            raise ValueError(f"items must be numbers, (n, *{shape}); got {X.dtype}, {X.shape}")
        _finite(X if scale is not None else X.astype("f4"), "be finite in float32")
        X = np.ascontiguousarray(_taken(X, *self.facts["input_kind"]))
        if scale is not None:
            z = (X / np.float64(2) - self.arrays["offset"] / 2) / scale * 2
            over = np.maximum(np.abs(z := np.clip(z, -1e300, 1e300)) / 10 - 1, 0)
            X = np.where(over > 0, 10 * (1 + over / (1 + over)) * np.sign(z), z)
        return X if X.dtype in (np.uint8, np.bool_) else X.astype("f4")


def _finite(x: Any, wanted: str) -> Any:
    if not np.isfinite(x).all():
        raise ValueError(f"items must {wanted}")
    return x


def _taken(X: Any, kind: str, low: float, high: float) -> Any:
    """Return items on the scale of training; refuse those of another."""
    least, most = float(X.min() * (X.dtype != np.bool_)), float(X.max())
    integer, own, kept = X.dtype.kind != "f", kind in ("levels", "numbers"), ""
    whole, shares = integer or bool((np.floor(X) == X).all()), -1 <= least < most <= 1
    span, inside = (high - low) or max(1.0, abs(high)), least >= 0 and most <= 255 and whole
    if X.ndim == 2 and kind != "bytes":
        far = kind == "unit" and whole and most > (1 if integer else 2)
        good = not far and not (kind == "levels" and shares and not whole)
    elif X.ndim == 2 or (not own and inside and most > 1):
        good, kept = inside, "u1"
    elif own:
        far = least < low - span or most > high + span or (integer and span < 16 and most > least)
        good = not far and not (kind == "levels" and shares)
    elif integer and least >= 0 and most <= 1:
        good, kept = X.dtype == np.bool_ or kind == "bool" or most == 0, "?"
    else:
        margin = 1.0 if kind == "unit" else 1e-3
        good = not integer and least >= -margin and most <= 1 + margin
    if not good:
        raise ValueError(f"items must be on the scale of training: {kind}, {low:g} to {high:g}")
    return X.astype(kept or ("f4" if X.dtype == np.uint8 else X.dtype))
