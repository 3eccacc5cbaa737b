"""scikit-learn's own checks of an estimator, with no failure expected."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from siamesekit import SiameseClassifier, SiameseEmbedder


@parametrize_with_checks([SiameseClassifier(), SiameseEmbedder()])
def test_scikit_learn_accepts_the_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
