"""The function `probe`: measures how the mean squares of signals and gradients change along a model's depth, and gives advice."""

from .probe import probe as probe
from .result import Probe as Probe
