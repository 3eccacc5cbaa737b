"""Embed a folder of pictures by a saved model, in parallel: with Ray Data, or with threads.

    python examples/embed_corpus.py --model MODEL --images FOLDER --out DIR --engine ray

MODEL is a folder that `save` wrote, or `export`, which is then run by onnxruntime. Embedding
exchanges nothing between workers: each loads the model once, and batches of paths pass through it.
With Ray the same lines run on a cluster (``--address auto``), where every node must see the model,
the pictures and `--out`. Writes ``paths.npy`` and ``vectors.npy``, in the order of the sorted
paths.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import siamesekit
from siamesekit.data import ImageReader

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


class Embedder:
    """From paths to embeddings; made once a worker, which is when the model is loaded.

    Parameters
    ----------
    model : str
        Folder that an estimator of pictures was saved or exported to. It reads them as it did in
        training, where that was from files; else, and where it was exported, they are brought to
        its shape.
    """

    def __init__(self, model: str) -> None:
        exported = Path(model, "reader.py").exists()
        self.transform = that_is_exported(model) if exported else that_is_saved(model)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return ``path`` and ``vector`` of a batch with a ``path`` each."""
        return {"path": batch["path"], "vector": self.transform(list(batch["path"]))}


def that_is_saved(model: str) -> Callable[[list[str]], np.ndarray]:
    """Return what embeds the pictures of some paths."""
    estimator = siamesekit.load(model)
    if estimator.reader == "image":  # as by default: it has learned from arrays, of one shape
        estimator.set_params(reader=reader_of(estimator.input_shape_))
    return estimator.transform


def that_is_exported(model: str) -> Callable[[list[str]], np.ndarray]:
    """Return what embeds the pictures of some paths by onnxruntime."""
    spec = importlib.util.spec_from_file_location("reader", Path(model, "reader.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Reader(model)
    read = reader_of(network.facts["input_shape"])
    return lambda paths: network.transform(np.stack([read(path) for path in paths]))


def reader_of(shape: Sequence[int]) -> ImageReader:
    """Return what reads pictures as uint8 of a shape, (channels, height, width)."""
    channels, height, width = shape
    return ImageReader((height, width), "L" if channels == 1 else "RGB")


def main() -> None:
    options = parse_options()
    # Workers of Ray have working folders of their own.
    found_files = options.images.resolve().rglob("*")
    paths = sorted(str(p) for p in found_files if p.suffix.lower() in ENDINGS)
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


if __name__ == "__main__":
    main()
