"""A loss that means something for scores of one kind only is not trained on those of another."""

import pytest
from torch import Tensor, nn

from siamesekit import SiameseClassifier, SiameseVerifier, registry
from siamesekit.errors import InvalidParameterError
from siamesekit.training import TrainingLine

HEADS = registry.names("heads", plugins=False)
WANTS = {"bce": "logit", "contrastive": "distance"}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("loss", [*WANTS, "triplet", "episodic"])
def test_a_line_is_of_a_loss_and_a_head_that_agree(head: str, loss: str) -> None:
    parts = registry.create("heads", head).build(3), registry.create("losses", loss)
    if WANTS.get(loss) in (None, parts[0].gives):
        TrainingLine(nn.Identity(), *parts)
        return
    with pytest.raises(InvalidParameterError, match=r"loss \w+ takes a score for .*, and head"):
        TrainingLine(nn.Identity(), *parts)


@pytest.mark.parametrize("estimator", [SiameseClassifier, SiameseVerifier])
def test_estimators_refuse_it_and_keep_what_they_have(
    estimator: type, blobs: tuple[Tensor, Tensor]
) -> None:
    X, y = (part.numpy() for part in blobs)
    model = estimator(backbone="mlp", head="l1", loss="bce", max_epochs=1, random_state=0).fit(X, y)
    before = model.transform(X[:3])
    with pytest.raises(
        InvalidParameterError, match="takes a score for a logit of same, and head CosineHead"
    ):
        model.set_params(head="cosine").fit(X, y)
    assert (model.transform(X[:3]) == before).all()
