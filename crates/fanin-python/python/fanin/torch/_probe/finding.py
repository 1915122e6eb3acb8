"""The class `Finding`, with the limits of all findings and their sources."""

from __future__ import annotations

import dataclasses
import math

#: |slope| times depth above which a signal or a gradient does not survive: 6 depth scales. In a model with norms, the scale of a
#: signal has no effect behind a norm, and batch norm by itself makes the gradient of a relu network grow by pi / (pi - 1) in each
#: layer. 50 such layers are allowed: healthy models of timm reach 31 of them.
LOG_CHANGE = 6.0
LOG_CHANGE_WITH_NORMS = 50 * math.log(math.pi / (math.pi - 1))
#: The share of dead or saturated units.
DEAD, SATURATED = 0.9, 0.5
#: The entropy of attention, divided by that of equal probabilities.
ENTROPY = 0.2
#: The loss of a classifier may be this much above ln(classes), or else its logits must have at most this std. Normal logits of
#: std s add s^2 / 2. In models whose head is their embedding, such as Gemma, a single logit, that of the input, adds more.
EXCESS_LOSS, LOGITS = 3.0, 2.0
#: The mean square that a layer with weights returns for an input of mean square 1.
GAIN = 30.0
#: The variance of the output of a batch norm that uses running statistics, divided by that of its weight.
STATISTICS = 100.0
#: The mean square of inputs.
INPUT = 1000.0
#: The mean cosine between two tokens or two inputs.
COSINE = 0.9999

SOURCES = {
    "forward": "Schoenholz et al. 2017, figure 5: networks train down to about 6 depth scales; with norms, Yang et al. 2019",
    "backward": "Schoenholz et al. 2017, figure 5: networks train down to about 6 depth scales; with norms, Yang et al. 2019",
    "dead": "Lu et al. 2020, Dying ReLU and Initialization",
    "saturated": "Glorot and Bengio 2010, section 3",
    "attention": "Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention Entropy Collapse",
    "loss": "equal probabilities have the loss ln(classes)",
    "gain": "He et al. 2015: between 1 (linear) and 2 (relu) keeps the signal",
    "inputs": "LeCun et al. 1998, Efficient BackProp, section 4.3",
    "collapse": "Dong et al. 2021, Attention is not all you need; Noci et al. 2022",
    "symmetric": "Goodfellow et al. 2016, Deep Learning, section 8.4",
    "peers": "comparison within the model",
    "blocked": "a product with 0 passes no gradient",
    "nonfinite": "IEEE 754",
    "unused": "autograd",
    "statistics": "Ioffe and Szegedy 2015: batch norm returns the variance weight^2",
    "recurrent": "Pascanu et al. 2013, On the Difficulty of Training Recurrent Neural Networks",
    "adapter": "Hu et al. 2021, LoRA, section 4.1: B begins at 0",
}


@dataclasses.dataclass
class Finding:
    """Something that the measurements show.

    `level` is "problem" or "note". A problem makes `Probe.ok` False.
    """

    kind: str
    level: str
    #: The module, or the parameter, that it is about.
    module: str
    text: str
    value: float
    limit: float
    #: The parameter to change, if there is one.
    parameter: str | None = None

    @property
    def source(self) -> str:
        """Where the limit comes from."""
        return SOURCES[self.kind]


def rounded(value: float) -> str:
    """Returns a number with three digits."""
    return f"{value:.3g}"
