"""scikit-learn's own checks of an estimator; the only failures expected ask for a pair's half."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier

# These call predict(X) with items where a verifier takes pairs; what they look for is tested in
# test_verifier.py.
PAIRWISE = dict.fromkeys(
    [
        "check_classifier_data_not_an_array",
        "check_classifiers_classes",
        "check_classifiers_train",
        "check_decision_proba_consistency",
        "check_dict_unchanged",
        "check_dtype_object",
        "check_estimators_dtypes",
        "check_estimators_nan_inf",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_predict1d",
        "check_fit_idempotent",
        "check_n_features_in_after_fitting",
        "check_supervised_y_2d",
    ],
    "predict takes pairs of items",
)


@parametrize_with_checks(
    [SiameseClassifier(), SiameseEmbedder(), SiameseVerifier(max_epochs=2, held_out=None)],
    expected_failed_checks=lambda estimator: (
        PAIRWISE if isinstance(estimator, SiameseVerifier) else {}
    ),
)
def test_scikit_learn_accepts_the_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
