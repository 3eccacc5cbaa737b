"""The embedder: items in, vectors out."""

from siamesekit.estimators.base import SiameseEstimator

__all__ = ["SiameseEmbedder"]


class SiameseEmbedder(SiameseEstimator):
    """Learn to embed items so that those of one class lie together; keep nothing of them.

    `fit` trains a backbone and a head on labelled items; `transform` returns embeddings, also of
    classes that were never seen. It is a step of a `Pipeline` before any other estimator: nearest
    neighbours, clustering, a linear classifier. Unlike `SiameseClassifier` it holds no gallery, so
    what is saved tells of the training items no more than the weights do.

    Parameters
    ----------
    backbone, head, loss, miner, sampler, augment
        The parts, each by name, as a class or as an instance: see `SiameseClassifier`.
    max_epochs, learning_rate, weight_decay, optimizer, schedule, averaging, chunk_size, compile
        How long and how to train: see `SiameseClassifier`.
    validation, patience, callbacks, checkpoint
        How training is watched: see `SiameseClassifier`.
    device, precision, random_state, verbose
        See `SiameseClassifier`.

    Attributes
    ----------
    backbone_, head_, loss_, history_
        The trained parts, and the numbers of each epoch.
    calibration_, calibration_source_
        Of `similarity`: see `SiameseClassifier`.
    trained_classes_, chosen_classes_ : ndarray, or None
        Sorted classes that were trained on, and that chose among epochs.
    input_shape_, n_features_in_, feature_names_in_
        What items were like in training.
    embedding_size_ : int
        Numbers in an embedding, ``d``.
    training_ : dict, or None
        What the card says of training: see `SiameseClassifier`.
    device_ : torch.device
    precision_ : torch.dtype

    See Also
    --------
    SiameseClassifier : which of the enrolled classes is it?
    SiameseVerifier : are these two of one class?

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from siamesekit import SiameseEmbedder
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(SiameseEmbedder(max_epochs=2, random_state=0), KNeighborsClassifier())
    >>> model.fit(X[:500], y[:500]).score(X[500:700], y[500:700]) > 0.9
    True
    """

    _summary = "Embeds items as vectors: those of one class lie together, of unseen classes too."
    _usage = ("model.transform(X)  # embeddings, a row an item",)
