"""The function `probe`: measures how the size of signals and gradients changes along the depth of a model, and advises changes."""

from .probe import probe as probe
from .result import Probe as Probe
