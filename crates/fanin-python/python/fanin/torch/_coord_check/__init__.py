"""The function `coord_check`: do activations and their changes keep their size when a model gets wider."""

from .check import coord_check as coord_check
from .result import CoordCheck as CoordCheck
