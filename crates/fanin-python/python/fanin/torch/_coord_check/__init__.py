"""The function `coord_check`: measures whether outputs, and their changes in training, keep their size when a model gets wider."""

from .check import coord_check as coord_check
from .result import CoordCheck as CoordCheck
