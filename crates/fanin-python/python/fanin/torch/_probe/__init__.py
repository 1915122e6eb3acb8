"""The function `probe`: do signals and gradients survive the depth of a model, and what should change if they do not."""

from .probe import probe as probe
from .result import Probe as Probe
