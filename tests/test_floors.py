"""A floor imports only floors below it (the house of the design)."""

import ast
from pathlib import Path

import pytest

import siamesekit

PACKAGE = Path(siamesekit.__file__).parent

FLOORS = {
    "registry": -1, "errors": -1, "_types": -1, "_params": -1, "_random": -1, "_checks": -1,
    "_labels": -1, "_triplets": -1, "_float_order": -1, "_eager": -1, "_scores": -1, "_pml": -1,
    "_files": -1, "_copying": -1, "_promise": -1, "environment": -1,
    "_values": -1, "_allowance": -1, "_lazy": -1, "_deprecation": -1, "catalogue": -1,
    "data": 0, "samplers": 0,
    "backbones": 1,
    "heads": 2, "miners": 2, "losses": 2,
    "training": 3,
    "evaluation": 4,
    "gallery": 5,
    "estimators": 6,
    "plots": 7, "recipes": 7, "experiments": 7, "testing": 7,
    "__init__": 8, "cli": 9, "__main__": 10,
}  # fmt: skip

SOURCES = sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_units(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "siamesekit":
                found.add(parts[1] if parts[1:2] and parts[1] in FLOORS else "__init__")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_floor_imports_only_floors_below(path: Path) -> None:
    own = unit_of(path)
    for unit in imported_units(path) - {own}:
        assert FLOORS[unit] < FLOORS[own] or FLOORS[own] == FLOORS[unit] == -1, (
            f"{path.relative_to(PACKAGE)} (floor {FLOORS[own]}) imports siamesekit.{unit} "
            f"(floor {FLOORS[unit]}), which does not lie below it"
        )
