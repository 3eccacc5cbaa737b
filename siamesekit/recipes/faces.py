"""Faces, from thirty people and nothing else."""

from siamesekit._random import RandomState
from siamesekit.backbones import PhotoViews, WhitenedNet
from siamesekit.data import PhotoAugmentation
from siamesekit.estimators import SiameseClassifier
from siamesekit.losses import EpisodicLoss
from siamesekit.recipes._shared import checked
from siamesekit.samplers import BalancedSampler

__all__ = ["faces"]

_PEOPLE, _EACH = 30, 4


def faces(max_epochs: int = 25, random_state: RandomState = 0) -> SiameseClassifier:
    """Return what did best on unseen people when trained from nothing on a few hundred faces.

    For grey images of about 112×92 pixels with the face at the same place in each, such as the ORL
    faces. The network sees a face by formula, as a thumbnail, gradients and texture (`PhotoViews`);
    what it learns, on photographs mildly moved, lit and covered (`PhotoAugmentation`), is what to
    make of these numbers; once training is over they are whitened by the covariance within people
    (`WhitenedNet`). A photograph and its mirror image are one to it.

    Parameters
    ----------
    max_epochs : int
        An epoch shows each photograph once.
    random_state : int, Generator or None

    Returns
    -------
    SiameseClassifier
        Not fitted; nobody is enrolled by `fit`.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.
    """
    return checked(
        SiameseClassifier(
            backbone=WhitenedNet(PhotoViews()),
            head="cosine",
            # Every other photograph of a person is a support, so that few of them serve well.
            loss=EpisodicLoss(shot="rest"),
            sampler=BalancedSampler(classes=_PEOPLE, per_class=_EACH),
            # Milder than by default: what changes a photograph more than its taking did blurs
            # what tells people apart.
            augment=PhotoAugmentation(
                rotation=6.0,
                shear=0.03,
                scale=(0.95, 1.05),
                translate=0.03,
                erase=0.3,
                p=0.2,
            ),
            enroll_training=False,
            learning_rate=5e-3,
            max_epochs=max_epochs,
            random_state=random_state,
        )
    )
