"""One training loop and what it needs."""

from siamesekit.training.callbacks import Callback, Record
from siamesekit.training.checkpoint import Checkpoint
from siamesekit.training.device import autocast, resolve_device, resolve_precision
from siamesekit.training.distributed import joined, leads
from siamesekit.training.embedding import embed_items
from siamesekit.training.health import HealthMonitor, TrainingHealthWarning, batch_health
from siamesekit.training.history import History
from siamesekit.training.items import Items, as_float
from siamesekit.training.line import Charge, TrainingLine
from siamesekit.training.loggers import MLflowLogger, TensorBoardLogger, WandbLogger
from siamesekit.training.loop import Plan, train
from siamesekit.training.optimisation import make_optimizer, make_schedule
from siamesekit.training.progress import showing_progress
from siamesekit.training.stopping import EarlyStopping, TimeLimit

__all__ = [
    "Callback",
    "Charge",
    "Checkpoint",
    "EarlyStopping",
    "HealthMonitor",
    "History",
    "Items",
    "MLflowLogger",
    "Plan",
    "Record",
    "TensorBoardLogger",
    "TimeLimit",
    "TrainingHealthWarning",
    "TrainingLine",
    "WandbLogger",
    "as_float",
    "autocast",
    "batch_health",
    "embed_items",
    "joined",
    "leads",
    "make_optimizer",
    "make_schedule",
    "resolve_device",
    "resolve_precision",
    "showing_progress",
    "train",
]
