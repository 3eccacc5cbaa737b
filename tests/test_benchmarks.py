"""The benchmarks run, print a table and write figures of one form; they are not timed here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import siamesekit

ROOT = Path(__file__).parents[1]
COLUMNS = {"name", "ours", "peer", "ratio", "unit", "size"}


def started(script: str, figures: Path, *options: str) -> str:
    """Run a benchmark and return what it prints; fails with its output where it fails."""
    path = [str(Path(siamesekit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, "--quick", "--json", figures, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(script: str, folder: Path, *options: str) -> list[dict[str, object]]:
    """Return the figures that a benchmark writes."""
    figures = folder / "figures.json"
    printed = started(script, figures, *options)
    rows: list[dict[str, object]] = json.loads(figures.read_text())
    assert rows
    assert all(set(row) == COLUMNS for row in rows)
    assert all(str(row["name"]) in printed for row in rows)
    return rows


@pytest.mark.parametrize("peer", ["pml", "none"])
def test_mining(tmp_path: Path, peer: str) -> None:
    if peer == "pml":
        pytest.importorskip("pytorch_metric_learning")
    sizes = ["--sizes", "32", "64", "--blocked-sizes", "64", "--per-class", "8"]
    rows = run("mining.py", tmp_path, "--peer", peer, *sizes)
    assert {row["size"] for row in rows} == {32, 64}
    assert {row["unit"] for row in rows} == {"s", "MiB"}
    assert any(row["peer"] is not None for row in rows) == (peer == "pml")
    for row in rows:
        if row["peer"] and row["ours"]:
            assert row["ratio"] == row["peer"] / row["ours"]  # type: ignore[operator]


@pytest.mark.parametrize("peer", ["tutorial", "none"])
def test_evaluation(tmp_path: Path, peer: str) -> None:
    rows = run("evaluation.py", tmp_path, "--peer", peer, "--repeats", "1")
    assert {row["size"] for row in rows} == {40, 100, 1000}
    assert {row["unit"] for row in rows} == {"s"}
    assert (rows[0]["ratio"] is not None) == (peer == "tutorial")


@pytest.mark.parametrize("peer", ["two-tower", "none"])
def test_training(tmp_path: Path, peer: str) -> None:
    rows = run("training.py", tmp_path, "--peer", peer, "--batch", "8", "--repeats", "1")
    pairs, images = rows[:2]
    assert pairs["ours"] == pytest.approx(images["ours"] * 7 / 2)  # type: ignore[operator]
    assert (pairs["ratio"] is not None) == (peer == "two-tower")
    if pairs["ratio"]:
        assert pairs["ratio"] == pairs["ours"] / pairs["peer"]  # type: ignore[operator]


@pytest.mark.parametrize("peer", ["all", "none"])
def test_gallery(tmp_path: Path, peer: str) -> None:
    pytest.importorskip("usearch")
    pytest.importorskip("faiss")
    sizes = ["--classes", "20", "50", "--queries", "50", "--index-repeats", "1"]
    rows = run("gallery.py", tmp_path, "--peer", peer, "--repeats", "1", *sizes)
    assert {row["size"] for row in rows} == {4, 10, 20, 50, 2_000}
    asked = [row for row in rows if str(row["name"]).startswith("which class")]
    assert len(asked) == 10
    assert sum("euclidean" in str(row["name"]) for row in asked) == 4
    asked += [row for row in rows if str(row["name"]).endswith("50 queries")]
    assert len(asked) == 13
    assert all((row["ratio"] is not None) == (peer == "all") for row in asked)
    assert all(row["peer"] is None for row in rows if row not in asked)
    recall = {row["name"]: row["ours"] for row in rows if row["unit"] == "share"}
    assert recall["exact: recall@1"] == 1
    assert all(share > 0.8 for share in recall.values())


@pytest.mark.parametrize("peer", ["long", "none"])
def test_compact(tmp_path: Path, peer: str) -> None:
    rows = run("compact.py", tmp_path, "--peer", peer)
    assert {row["size"] for row in rows} == {256}
    shares = [row for row in rows if row["unit"] == "%"]
    assert len(shares) == 4
    assert all(50 < float(str(row["ours"])) < 100 for row in shares)
    assert all((row["peer"] is not None) == (peer == "long") for row in shares)
    assert {row["unit"] for row in rows if row not in shares} == {"points"}


@pytest.mark.parametrize("peer", ["fmr", "none"])
def test_open_set(tmp_path: Path, peer: str) -> None:
    rows = run("open_set.py", tmp_path, "--peer", peer, "--sizes", "5", "20")
    assert [row["size"] for row in rows] == [5, 5, 20, 20]
    assert {row["unit"] for row in rows} == {"share"}
    assert all(0 <= float(str(row["ours"])) <= 1 for row in rows)
    assert all((row["peer"] is not None) == (peer == "fmr") for row in rows)


@pytest.mark.parametrize("peer", ["baselines", "none"])
def test_vectors(tmp_path: Path, peer: str) -> None:
    (row,) = run("vectors.py", tmp_path, "--peer", peer)
    assert row["size"] == 10
    assert row["unit"] == "%"
    assert (row["ratio"] is not None) == (peer == "baselines")


def test_chunked(tmp_path: Path) -> None:
    rows = run("chunked.py", tmp_path, "--peer", "none", "--batch", "64", "--chunks", "16")
    assert {row["size"] for row in rows} == {16}
    assert {row["unit"] for row in rows} == {"s", "MiB"}
    assert all(row["ratio"] is not None for row in rows)


def test_distributed(tmp_path: Path) -> None:
    rows = run("distributed.py", tmp_path)
    assert all(float(str(row["ours"])) > 0 for row in rows)


def test_settings(tmp_path: Path) -> None:
    rows = run("settings.py", tmp_path)
    assert all(row["ratio"] is not None for row in rows)
    assert {"memory is kept", "bfloat16"} <= {row["name"] for row in rows}


def test_streaming(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    rates, *memory = run("streaming.py", tmp_path, "--workers", "1")
    assert (rates["size"], rates["unit"]) == (128, "1/s")
    assert all(row["unit"] == "MiB" for row in memory)
    assert all(row["ratio"] is not None for row in (rates, *memory))


def test_ranks_share_what_there_is_to_embed_and_compare(tmp_path: Path) -> None:
    figures = tmp_path / "ranks.json"
    started("ranks.py", figures)
    found = {one["counted"]: one for one in json.loads(figures.read_text())["series"]}
    assert found["images"]["counts"] == [120, 60, 40]
    assert found["scores"]["counts"] == [120 * 120, 60 * 120, 40 * 120]
    # Embeddings of four numbers, there and back, beside what does not grow with the batch.
    two, three = found["bytes"]["counts"]
    assert 2 * 120 * 4 * 4 < two <= three < 1.05 * two


def test_growth_writes_what_its_page_is_made_of(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    started("growth.py", figures)
    for one in json.loads(figures.read_text())["series"]:
        assert len(one["sizes"]) == len(one["seconds"]) == 2
        assert min(one["seconds"]) > 0
