"""Embed a folder of pictures by a saved model, in parallel: with Ray Data, or with threads.

    python examples/embed_corpus.py --model MODEL --images FOLDER --out DIR --engine ray

Embedding exchanges nothing between workers: each loads the model once, and batches of paths pass
through it. With Ray the same lines run on a cluster (``--address auto``), where every node must see
the model, the pictures and `--out`. Writes ``paths.npy`` and ``vectors.npy``, in the order of the
sorted paths.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from siamesekit import SiameseClassifier

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}


class Embedder:
    """From paths to embeddings; made once a worker, which is when the model is loaded.

    Parameters
    ----------
    model : str
        Folder of a saved classifier, of one that took pictures of one size, as gray or colour.
    """

    def __init__(self, model: str) -> None:
        self.classifier = SiameseClassifier.load(model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return ``path`` and ``vector`` of a batch with a ``path`` each."""
        channels, height, width = self.classifier.input_shape_
        X = np.stack([read(path, channels, (width, height)) for path in batch["path"]])
        return {"path": batch["path"], "vector": self.classifier.transform(X)}


def main() -> None:
    options = parse_options()
    paths = sorted(str(p) for p in options.images.rglob("*") if p.suffix.lower() in ENDINGS)
    if not paths:
        raise SystemExit(f"{options.images} holds no pictures ({', '.join(sorted(ENDINGS))}).")
    embed = with_ray if options.engine == "ray" else with_threads
    found = dict(embed(paths, options))
    options.out.mkdir(parents=True, exist_ok=True)
    np.save(options.out / "paths.npy", np.array(paths))
    np.save(options.out / "vectors.npy", np.stack([found[path] for path in paths]))
    print(f"wrote {len(paths)} vectors to {options.out}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of a saved classifier")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--out", type=Path, default=Path("vectors"))
    parser.add_argument("--engine", choices=("ray", "threads"), default="ray")
    parser.add_argument("--address", help="of a running cluster; else Ray starts on this machine")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    return parser.parse_args()


def with_ray(paths: Sequence[str], options: argparse.Namespace) -> list[tuple[str, np.ndarray]]:
    """Return each path with its embedding; every worker of Ray makes an `Embedder` of its own."""
    import ray

    ray.init(address=options.address, ignore_reinit_error=True)
    rows = ray.data.from_items([{"path": path} for path in paths]).map_batches(
        Embedder,
        fn_constructor_args=(str(options.model.resolve()),),
        batch_size=options.batch,
        compute=ray.data.ActorPoolStrategy(size=options.workers),
    )
    return [(row["path"], np.asarray(row["vector"])) for row in rows.iter_rows()]


def with_threads(paths: Sequence[str], options: argparse.Namespace) -> list[tuple[str, np.ndarray]]:
    """Return each path with its embedding, by threads that share one model."""
    embedder = Embedder(str(options.model))
    batches = [paths[k : k + options.batch] for k in range(0, len(paths), options.batch)]
    with ThreadPoolExecutor(options.workers) as pool:
        done = list(pool.map(lambda some: embedder({"path": some}), batches))
    return [pair for batch in done for pair in zip(batch["path"], batch["vector"], strict=True)]


def read(path: str, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return a picture as uint8 of shape (channels, height, width)."""
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB").resize(size))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


if __name__ == "__main__":
    main()
