"""
MNIST: triplets, before and after
=================================

The classic of triplet losses: pull a digit towards its like, push others away, and look at the
space before and after. The recipe is that of a well-known Keras example
(AdrianUng/keras-triplet-loss-mnist): a small dense network, semi-hard triplets by TensorFlow's
rule on squared distances, margin 1. Here with a sixth of the training images.
"""

# %%
import os
from pathlib import Path

import numpy as np

from siamesekit import SiameseEmbedder, plots
from siamesekit.data import load_mnist
from siamesekit.evaluation import knn_accuracy

root = Path(os.environ.get("SIAMESEKIT_DATA", ".")) / "mnist"
train, test = load_mnist(root, "train"), load_mnist(root, "test")
few = np.random.default_rng(0).permutation(len(train))[:10_000]
X, y = train.X[few], train.y[few]
X_test, y_test = test.X[:2000], test.y[:2000]

# %%
# Before
# ------
#
# Two principal components of the pixels. The nearest training image is a fair classifier already.

pixels = X.reshape(len(X), -1) / 255
pixels_test = X_test.reshape(len(X_test), -1) / 255
print(f"pixels, nearest image: {knn_accuracy(pixels_test, y_test, pixels, y, k=1):.2%}")
figure = plots.plot_embeddings(pixels_test[:1000], y_test[:1000])

# %%
# The line, in four words
# -----------------------
#
# *Embed* by a dense network, *compare* by minus the squared distance, *choose* semi-hard triplets,
# *charge* by how far they are from the margin.

embedder = SiameseEmbedder(
    backbone="mnist-mlp",
    head="sqeuclidean",
    miner="tf-semihard",
    loss="triplet",
    sampler="random",
    augment=None,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="constant",
    max_epochs=10,
    random_state=0,
).set_params(loss__margin=1.0, sampler__batch_size=256)
embedder.fit(X, y)
figure = plots.plot_history(embedder.history_)

# %%
# After
# -----

after, after_test = embedder.transform(X), embedder.transform(X_test)
accuracy = knn_accuracy(after_test, y_test, after, y, k=1, scorer=embedder.head_)
print(f"embeddings of {after.shape[1]} numbers, nearest image: {accuracy:.2%}")
# sphinx_gallery_thumbnail_number = 3
figure = plots.plot_embeddings(after_test[:1000], y_test[:1000])

# %%
# With all 60,000 images, 25 epochs and three seeds: ``examples/mnist_triplet.py``, whose figures
# stand in the README, beside a convolutional network by all triplets of a batch.
