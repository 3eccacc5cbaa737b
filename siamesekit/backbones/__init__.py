"""Embed: networks from items to embeddings."""

from siamesekit.backbones.base import Backbone

__all__ = ["Backbone"]
