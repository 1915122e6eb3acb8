//! Shapes, and the fans they imply under a layout.

use crate::error::Error;

/// The number of elements of `shape`.
///
/// The empty shape is a scalar and has one. `Err(ShapeOverflow)` if the count, or the product of the non-zero
/// sizes (which strides are made of), does not fit a `usize`.
pub fn element_count(shape: &[usize]) -> Result<usize, Error> {
    let overflow = || Error::ShapeOverflow { shape: shape.to_vec() };
    let nonzero =
        shape.iter().filter(|&&size| size != 0).try_fold(1usize, |count, &size| count.checked_mul(size));
    let nonzero = nonzero.filter(|&count| isize::try_from(count).is_ok()).ok_or_else(overflow)?;
    Ok(if shape.contains(&0) { 0 } else { nonzero })
}

/// How many inputs feed one output, and how many outputs one input feeds.
///
/// Glorot and Bengio 2010, section 4.2 (n_i and n_{i+1}); He et al. 2015, section 2.2 (n_l and n̂_l).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fans {
    /// Inputs of one output unit: input channels times the kernel's taps.
    pub fan_in: usize,
    /// Outputs that one input unit reaches: output channels times the kernel's taps.
    pub fan_out: usize,
}

/// Which axis of a weight is which.
///
/// torch's own rule, [`Layout::OutIn`], is right for `Linear` and ungrouped convolutions. For a transposed
/// convolution torch stores `[in, out, k...]` and then swaps the fans; [`Layout::InOut`] does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `[out, in, k...]`: torch's `Linear` and `Conv`, and torch's rule for every tensor.
    #[default]
    OutIn,
    /// `[in, out, k...]`: torch's `ConvTranspose`; burn's `Linear`.
    InOut,
    /// `[k..., in, out]`: Keras and JAX.
    KernelInOut,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 3] = [Layout::OutIn, Layout::InOut, Layout::KernelInOut];

    /// `out_in`, `in_out` or `kernel_in_out`, as specs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::OutIn => "out_in",
            Layout::InOut => "in_out",
            Layout::KernelInOut => "kernel_in_out",
        }
    }

    /// The fans of a tensor of this shape.
    ///
    /// With [`Layout::OutIn`]: `fan_in = shape[1] * prod(shape[2..])`, `fan_out = shape[0] * prod(shape[2..])`,
    /// as `torch.nn.init._calculate_fan_in_and_fan_out` has them.
    ///
    /// # Errors
    /// `Fans` for fewer than two dimensions, `ShapeOverflow` if a fan does not fit a `usize`.
    ///
    /// ```
    /// use fanin::{Fans, Layout};
    /// assert_eq!(Layout::OutIn.fans(&[64, 3, 7, 7])?, Fans { fan_in: 147, fan_out: 3136 });
    /// assert_eq!(Layout::KernelInOut.fans(&[7, 7, 3, 64])?, Fans { fan_in: 147, fan_out: 3136 });
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn fans(self, shape: &[usize]) -> Result<Fans, Error> {
        let (inputs, outputs, kernel) = match (self, shape) {
            (_, [] | [_]) => return Err(Error::Fans { shape: shape.to_vec() }),
            (Layout::OutIn, [outputs, inputs, kernel @ ..]) => (*inputs, *outputs, kernel),
            (Layout::InOut, [inputs, outputs, kernel @ ..]) => (*inputs, *outputs, kernel),
            (Layout::KernelInOut, [kernel @ .., inputs, outputs]) => (*inputs, *outputs, kernel),
        };
        let times = |channels: usize| kernel.iter().try_fold(channels, |fan, &taps| fan.checked_mul(taps));
        match (times(inputs), times(outputs)) {
            (Some(fan_in), Some(fan_out)) => Ok(Fans { fan_in, fan_out }),
            _ => Err(Error::ShapeOverflow { shape: shape.to_vec() }),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which fan scales the variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fan {
    /// Keeps the variance of the forward signal.
    #[default]
    In,
    /// Keeps the variance of the backward gradient.
    Out,
}

impl Fan {
    /// `fan_in` or `fan_out`, as specs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Fan::In => "fan_in",
            Fan::Out => "fan_out",
        }
    }

    /// Picks one of the two.
    pub const fn of(self, fans: Fans) -> usize {
        match self {
            Fan::In => fans.fan_in,
            Fan::Out => fans.fan_out,
        }
    }
}

impl std::fmt::Display for Fan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Fan {
    type Err = Error;

    /// Reads `fan_in` or `fan_out`, case-blind, as torch does.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name.to_lowercase().as_str() {
            "fan_in" => Ok(Fan::In),
            "fan_out" => Ok(Fan::Out),
            lower => Err(Error::Mode { name: lower.to_owned() }),
        }
    }
}
