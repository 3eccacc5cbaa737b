"""Embed: networks from items to embeddings."""

from siamesekit.backbones.auto import choose_backbone
from siamesekit.backbones.base import Backbone
from siamesekit.backbones.conv4 import Conv4
from siamesekit.backbones.freezing import learning_layers, still_norms, train_last
from siamesekit.backbones.koch import KochNet
from siamesekit.backbones.mlp import MLP
from siamesekit.backbones.mnist_mlp import MnistMLP
from siamesekit.backbones.photo_views import PhotoViews
from siamesekit.backbones.residual import ResidualNet
from siamesekit.backbones.residual_mlp import ResidualMLP
from siamesekit.backbones.timm import TimmNet
from siamesekit.backbones.turned import TurnedNet
from siamesekit.backbones.whitened import WhitenedNet

__all__ = [
    "MLP",
    "Backbone",
    "Conv4",
    "KochNet",
    "MnistMLP",
    "PhotoViews",
    "ResidualMLP",
    "ResidualNet",
    "TimmNet",
    "TurnedNet",
    "WhitenedNet",
    "choose_backbone",
    "learning_layers",
    "still_norms",
    "train_last",
]
