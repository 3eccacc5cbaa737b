"""The options that every benchmark has."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

__all__ = ["parser_of"]


def parser_of(doc: str | None) -> ArgumentParser:
    """Return a parser that shows a benchmark's docstring as it stands, and knows ``--json``."""
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser
