"""dlib's face network in torch, and the alignment that it was trained with."""

from siamesekit_dlib_face.alignment import AlignedFaces, align
from siamesekit_dlib_face.backbone import DlibFace
from siamesekit_dlib_face.network import FaceNetwork
from siamesekit_dlib_face.reader import FaceReader
from siamesekit_dlib_face.weights import read_weights

__all__ = ["AlignedFaces", "DlibFace", "FaceNetwork", "FaceReader", "align", "read_weights"]
