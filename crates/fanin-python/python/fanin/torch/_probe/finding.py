"""The class `Finding`, the limits at which measurements become findings, and the sources of the limits."""

from __future__ import annotations

import dataclasses
import math

#: The signal vanishes or explodes if the logarithm of its mean square changes by more than this limit along the depth.
#: The same limit applies to the logarithm of the sum of squares of the gradient. In mean-field theory, the limit is 6
#: depth scales: over one depth scale, the squares change by a factor of e.
LOG_CHANGE = 6.0
#: The limit that replaces `LOG_CHANGE` for models with norms. Batch norm makes the gradient of a relu network grow by
#: the factor pi / (pi - 1) in each layer. The limit is the logarithm of the growth over 50 layers. Healthy models of
#: timm reach at most the growth over 31 layers.
LOG_CHANGE_WITH_NORMS = 50 * math.log(math.pi / (math.pi - 1))
#: An activation is a problem if the fraction of dead units is at least DEAD, or the fraction of saturated values at least SATURATED.
DEAD, SATURATED = 0.9, 0.5
#: Attention is a problem if the entropy of its probabilities is below this fraction of the largest possible entropy.
ENTROPY = 0.2
#: The loss of a classifier is a problem if two conditions hold: it exceeds ln(classes) by more than EXCESS_LOSS, and
#: the standard deviation of its logits is above LOGITS. Gaussian logits of standard deviation s raise the loss by
#: s^2 / 2. The second condition exempts models whose output layer is tied to the embedding, such as Gemma. There, a
#: single large logit raises the loss: the logit of the input token.
EXCESS_LOSS, LOGITS = 3.0, 2.0
#: A layer with weights is a problem if it multiplies the mean square of the signal by more than this limit.
GAIN = 30.0
#: The running statistics of a batch norm are a problem if the variance of its output is above STATISTICS * weight^2.
STATISTICS = 100.0
#: The inputs of the model are a problem if their mean square is above this limit.
INPUT = 1000.0
#: Tokens, or inputs, look the same if their cosine similarity, averaged over all pairs, is above this limit.
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
    "peers": "comparison with the same parameter in other blocks of the model",
    "blocked": "a weight of 0 passes no gradient",
    "nonfinite": "IEEE 754",
    "unused": "autograd",
    "statistics": "Ioffe and Szegedy 2015: batch norm returns the variance weight^2",
    "recurrent": "Pascanu et al. 2013, On the Difficulty of Training Recurrent Neural Networks",
    "adapter": "Hu et al. 2021, LoRA, section 4.1: B begins at 0",
}


@dataclasses.dataclass
class Finding:
    """A result of a probe, stated in words: a problem of the model's initialization, or a note about it."""

    #: The kind of finding, such as "dead": a key of `SOURCES`.
    kind: str
    #: "problem" or "note". A problem makes `Probe.ok` False.
    level: str
    #: The name of the module or layer that the finding is about.
    module: str
    #: The finding in words.
    text: str
    #: The measured number that led to the finding.
    value: float
    #: The limit that `value` was compared with.
    limit: float
    #: The name of the parameter to change, if there is one.
    parameter: str | None = None

    @property
    def source(self) -> str:
        """The paper or the reason on which `limit` is based."""
        return SOURCES[self.kind]


def rounded(value: float) -> str:
    """Returns a number as text with three significant digits."""
    return f"{value:.3g}"
