"""Data sets, and the augmentation of a batch."""

from siamesekit.data.arrays import as_items
from siamesekit.data.augmentation import RandomAffine
from siamesekit.data.drawings import DrawingReader, DrawnReading
from siamesekit.data.folders import ImageFiles, load_image_folder
from siamesekit.data.images import ImageSet, resize
from siamesekit.data.koch_split import KOCH_VALIDATION_ALPHABETS, KochSplit, koch_split
from siamesekit.data.mnist import load_mnist
from siamesekit.data.omniglot import LAKE_ALPHABETS, Omniglot, load_omniglot
from siamesekit.data.omniglot_runs import OneShotRun, load_omniglot_runs
from siamesekit.data.orl_faces import load_orl_faces
from siamesekit.data.pair_lists import ImagePairs, load_pairs_csv
from siamesekit.data.pen import RandomPen
from siamesekit.data.photographs import PhotoAugmentation
from siamesekit.data.readers import ImageReader
from siamesekit.data.strokes import redraw
from siamesekit.data.turned import with_turns

__all__ = [
    "KOCH_VALIDATION_ALPHABETS",
    "LAKE_ALPHABETS",
    "DrawingReader",
    "DrawnReading",
    "ImageFiles",
    "ImagePairs",
    "ImageReader",
    "ImageSet",
    "KochSplit",
    "Omniglot",
    "OneShotRun",
    "PhotoAugmentation",
    "RandomAffine",
    "RandomPen",
    "as_items",
    "koch_split",
    "load_image_folder",
    "load_mnist",
    "load_omniglot",
    "load_omniglot_runs",
    "load_orl_faces",
    "load_pairs_csv",
    "redraw",
    "resize",
    "with_turns",
]
