"""One transfer in one process.

state         the plain data of a run: losses, an iteration, a checkpoint, the result
memory        the memory that a run takes, and the tiles in which it fits
hypercolumns  the memory and time that sampled hypercolumns take
neighbours    the memory and time that nearest neighbours take
prediction    the time and memory of a run, before it begins
product_rate  how fast this machine multiplies matrices
session       the graph and session that serve a run, and the targets set in them
level         one scale of a run: its targets, its start, its steps
graph_cache   graphs and evaluators, for one run after another
"""

from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.level import DivergenceGuard, Ending, Level, history_of
from neural_style.transfer.memory import explained_memory, precision_of, prepare
from neural_style.transfer.session import TransferSession
from neural_style.transfer.state import (
    Callback,
    Checkpoint,
    Iterate,
    Iteration,
    LossHistory,
    Result,
    Scores,
    Watch,
)

__all__ = [
    "Callback",
    "Checkpoint",
    "DivergenceGuard",
    "Ending",
    "GraphCache",
    "Iterate",
    "Iteration",
    "Level",
    "LossHistory",
    "Result",
    "Scores",
    "TransferSession",
    "Watch",
    "explained_memory",
    "history_of",
    "precision_of",
    "prepare",
]
