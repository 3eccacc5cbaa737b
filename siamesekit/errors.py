"""Every error that siamesekit raises on purpose.

::

    SiamesekitError
    ├── InvalidParameterError (ValueError)      a hyper-parameter is not allowed
    ├── InvalidDataError (ValueError)           images, labels or groups are not usable
    │   ├── LeakageError                        a test class was seen in training
    │   └── TooFewTrialsError                   so few people cannot show what is to be promised
    ├── NotBuiltError (RuntimeError)            a part is used before its sizes are known
    ├── UnknownPartError (ValueError)           no part of that name
    ├── PluginError
    │   ├── PluginImportError (ImportError)     an installed plugin fails to import
    │   ├── PluginConflictError                 two distributions claim one name
    │   └── PluginCheckError                    a part does not keep the contract of its kind
    ├── DatasetError
    │   ├── DatasetNotFoundError (FileNotFoundError)
    │   └── CorruptDatasetError (ValueError)
    ├── ModelNotWrittenError (OSError)          a model cannot be saved: no room, no permission
    │   └── GalleryChangedError                 another one saved a gallery there meanwhile
    ├── RunMismatchError (ValueError)           a folder of results is of another run
    ├── IndexUnavailableError (ConnectionError) the database of an index does not answer
    ├── HubError (OSError)                      a hub of models cannot be reached, or refuses
    ├── DistributedError (RuntimeError)         processes that train together have lost one another
    ├── TrainingDivergedError (RuntimeError)    training gives no finite numbers any more
    └── SavedModelError (ValueError)            a saved folder is truncated or of another version
        └── CheckpointMismatchError             a checkpoint is of another run
"""

__all__ = [
    "CheckpointMismatchError",
    "CorruptDatasetError",
    "DatasetError",
    "DatasetNotFoundError",
    "DistributedError",
    "GalleryChangedError",
    "HubError",
    "IndexUnavailableError",
    "InvalidDataError",
    "InvalidParameterError",
    "LeakageError",
    "ModelNotWrittenError",
    "NotBuiltError",
    "PluginCheckError",
    "PluginConflictError",
    "PluginError",
    "PluginImportError",
    "RunMismatchError",
    "SavedModelError",
    "SiamesekitError",
    "TooFewTrialsError",
    "TrainingDivergedError",
    "UnknownPartError",
]


class SiamesekitError(Exception):
    """Base of every error that siamesekit raises on purpose."""


class InvalidParameterError(SiamesekitError, ValueError):
    """A hyper-parameter has a value or a type that is not allowed."""


class InvalidDataError(SiamesekitError, ValueError):
    """Images, labels or groups cannot be used as they are."""


class LeakageError(InvalidDataError):
    """A class of the test split was seen in training."""


class TooFewTrialsError(InvalidDataError):
    """An error rate was to be promised that so few people, or none, cannot show."""


class NotBuiltError(SiamesekitError, RuntimeError):
    """A part was used before ``build`` told it the sizes of the data."""


class UnknownPartError(SiamesekitError, ValueError):
    """No built-in part and no installed plugin has the given name."""


class PluginError(SiamesekitError):
    """An installed plugin cannot be used."""


class PluginImportError(PluginError, ImportError):
    """The module of an installed plugin fails to import."""


class PluginConflictError(PluginError):
    """Two installed distributions claim the same name."""


class PluginCheckError(PluginError):
    """A part does not keep the contract of its kind; the message lists what is missing."""


class DatasetError(SiamesekitError):
    """A data set cannot be read."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """The files of a data set are not where they were looked for."""


class CorruptDatasetError(DatasetError, ValueError):
    """A file of a data set is damaged or is not what its name says."""


class SavedModelError(SiamesekitError, ValueError):
    """A saved model is truncated, damaged or of another format version."""


class RunMismatchError(SiamesekitError, ValueError):
    """A folder of results is of another run than the one that is asked for."""


class CheckpointMismatchError(SavedModelError):
    """A checkpoint is of another run; the message says what differs."""


class DistributedError(SiamesekitError, RuntimeError):
    """Of processes that train together one failed, died, is late, or was given something else."""


class TrainingDivergedError(SiamesekitError, RuntimeError):
    """Training gives no finite numbers any more; the message says when, and what to try."""


class ModelNotWrittenError(SiamesekitError, OSError):
    """A model cannot be written to its folder; what was saved there before is as it was."""


class GalleryChangedError(ModelNotWrittenError):
    """A gallery is not written: another one, saved meanwhile, would be lost by it."""


class IndexUnavailableError(SiamesekitError, ConnectionError):
    """The store that an index keeps its vectors in cannot be reached, or refuses."""


class HubError(SiamesekitError, OSError):
    """A hub of models cannot be reached, has no such model, or refuses."""
