"""The function `coord_check`: measures whether the rms of outputs, and of their changes in training, depends on a model's width."""

from .check import coord_check as coord_check
from .result import CoordCheck as CoordCheck
