//! Shapes, and the fans they imply under a layout.

use crate::error::{Error, nearest};

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
/// torch's own rule, [`AxisLayout::OutIn`], is right for `Linear` and ungrouped convolutions. For a transposed
/// convolution torch stores `[in, out / groups, k...]` and takes the fans for each other; [`AxisLayout::InOut`] does not. For a
/// grouped convolution it takes a fan_out that is `groups` times too large; [`AxisLayout::grouped_fans`] does not.
///
/// Read and printed by name, or as one letter an axis: see [`Axes`].
///
/// ```
/// use fanin::{Fans, AxisLayout};
/// let experts: AxisLayout = "eoi".parse()?; // [expert, out, in]: an expert is a matrix of its own
/// assert_eq!(experts.fans(&[8, 256, 64])?, Fans { fan_in: 64, fan_out: 256 });
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AxisLayout {
    /// `[out, in / groups, k...]`: torch's `Linear` and `Conv`, and torch's rule for every tensor.
    #[default]
    OutIn,
    /// `[in, out / groups, k...]`: torch's `ConvTranspose`; burn's `Linear`; transformers' `Conv1D`.
    InOut,
    /// `[k..., in / groups, out]`: Keras and JAX.
    KernelInOut,
    /// Axis by axis.
    Axes(Axes),
}

impl AxisLayout {
    /// The layouts that have a name.
    pub const ALL: [AxisLayout; 3] = [AxisLayout::OutIn, AxisLayout::InOut, AxisLayout::KernelInOut];

    /// `out_in`, `in_out` or `kernel_in_out`, as specs spell it; `axes` for explicit ones, whose letters `Display` prints.
    pub const fn name(self) -> &'static str {
        match self {
            AxisLayout::OutIn => "out_in",
            AxisLayout::InOut => "in_out",
            AxisLayout::KernelInOut => "kernel_in_out",
            AxisLayout::Axes(_) => "axes",
        }
    }

    /// The fans of a tensor of this shape.
    ///
    /// With [`AxisLayout::OutIn`]: `fan_in = shape[1] * prod(shape[2..])`, `fan_out = shape[0] * prod(shape[2..])`,
    /// as `torch.nn.init._calculate_fan_in_and_fan_out` has them.
    ///
    /// # Errors
    /// `Fans` for fewer than two dimensions, `AxisLayout` if explicit axes are not as many as the shape's, `ShapeOverflow` if
    /// a fan does not fit a `usize`.
    ///
    /// ```
    /// use fanin::{Fans, AxisLayout};
    /// assert_eq!(AxisLayout::OutIn.fans(&[64, 3, 7, 7])?, Fans { fan_in: 147, fan_out: 3136 });
    /// assert_eq!(AxisLayout::KernelInOut.fans(&[7, 7, 3, 64])?, Fans { fan_in: 147, fan_out: 3136 });
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn fans(self, shape: &[usize]) -> Result<Fans, Error> {
        self.grouped_fans(shape, 1)
    }

    /// The fans of a convolution in groups, each of which sees its own inputs and makes its own outputs.
    ///
    /// One of the two channel axes holds a group's channels only, the other those of all groups: of [`AxisLayout::OutIn`] and
    /// [`AxisLayout::KernelInOut`] that is the outputs', of [`AxisLayout::InOut`] (a transposed convolution) the inputs'.
    ///
    /// ```
    /// use fanin::{Fans, AxisLayout};
    /// // Conv2d(64, 128, 3, groups=4): 16 inputs feed an output, an input feeds 32 outputs.
    /// assert_eq!(AxisLayout::OutIn.grouped_fans(&[128, 16, 3, 3], 4)?, Fans { fan_in: 144, fan_out: 288 });
    /// // ConvTranspose2d(64, 128, 3, groups=4).
    /// assert_eq!(AxisLayout::InOut.grouped_fans(&[64, 32, 3, 3], 4)?, Fans { fan_in: 144, fan_out: 288 });
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`AxisLayout::fans`]; `FanGroups` if there are no groups, if they do not divide the axis, or if the layout is
    /// [`AxisLayout::Axes`], which does not say which axis holds all groups.
    pub fn grouped_fans(self, shape: &[usize], groups: usize) -> Result<Fans, Error> {
        let (mut inputs, mut outputs, kernel) = match (self, shape) {
            (_, [] | [_]) => return Err(Error::Fans { shape: shape.to_vec() }),
            (AxisLayout::OutIn, [outputs, inputs, kernel @ ..]) => (*inputs, *outputs, product(kernel)),
            (AxisLayout::InOut, [inputs, outputs, kernel @ ..]) => (*inputs, *outputs, product(kernel)),
            (AxisLayout::KernelInOut, [kernel @ .., inputs, outputs]) => (*inputs, *outputs, product(kernel)),
            (AxisLayout::Axes(axes), shape) => {
                if axes.len() != shape.len() {
                    return Err(Error::AxisLayout { layout: axes.to_string(), shape: shape.to_vec() });
                }
                let of = |role: Axis| {
                    let sizes = shape.iter().zip(axes.roles()).filter(|(_, axis)| **axis == role);
                    sizes.map(|(size, _)| *size).collect::<Vec<_>>()
                };
                let channels = |role| product(&of(role));
                match (channels(Axis::In), channels(Axis::Out)) {
                    (Some(inputs), Some(outputs)) => (inputs, outputs, channels(Axis::Kernel)),
                    _ => return Err(Error::ShapeOverflow { shape: shape.to_vec() }),
                }
            }
        };
        if groups != 1 {
            let of_all = if self == AxisLayout::InOut { &mut inputs } else { &mut outputs };
            if groups == 0 || matches!(self, AxisLayout::Axes(_)) || !of_all.is_multiple_of(groups) {
                return Err(Error::FanGroups { groups, layout: self.to_string(), shape: shape.to_vec() });
            }
            *of_all /= groups;
        }
        let times = |channels: usize| kernel.and_then(|taps| channels.checked_mul(taps));
        match (times(inputs), times(outputs)) {
            (Some(fan_in), Some(fan_out)) => Ok(Fans { fan_in, fan_out }),
            _ => Err(Error::ShapeOverflow { shape: shape.to_vec() }),
        }
    }
}

impl AxisLayout {
    /// What each axis of a tensor of so many axes runs over.
    pub(crate) fn roles(self, rank: usize) -> Vec<Axis> {
        let kernel = vec![Axis::Kernel; rank.saturating_sub(2)];
        match self {
            AxisLayout::OutIn => [vec![Axis::Out, Axis::In], kernel].concat(),
            AxisLayout::InOut => [vec![Axis::In, Axis::Out], kernel].concat(),
            AxisLayout::KernelInOut => [kernel, vec![Axis::In, Axis::Out]].concat(),
            AxisLayout::Axes(axes) => axes.roles().to_vec(),
        }
    }
}

fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
}

impl std::fmt::Display for AxisLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AxisLayout::Axes(axes) => axes.fmt(f),
            named => f.write_str(named.name()),
        }
    }
}

impl std::str::FromStr for AxisLayout {
    type Err = Error;

    /// Reads a name, or letters ([`Axes`]). The names: `out_in` (also `torch`, `linear`, `conv`), `in_out` (also
    /// `conv_transpose`, `transposed`), `kernel_in_out` (also `keras`, `jax`, `flax`).
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "out_in" | "torch" | "linear" | "conv" => Ok(AxisLayout::OutIn),
            "in_out" | "conv_transpose" | "transposed" => Ok(AxisLayout::InOut),
            "kernel_in_out" | "keras" | "jax" | "flax" => Ok(AxisLayout::KernelInOut),
            letters => letters.parse().map(AxisLayout::Axes),
        }
    }
}

/// What an axis of a weight runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Outputs: `o`.
    Out,
    /// Inputs: `i`.
    In,
    /// A kernel's taps: `k` (and `d`, `h`, `w`).
    Kernel,
    /// Tensors of their own, such as experts, that share no input and no output: `e` (and `b`, JAX's batch axis).
    Each,
}

/// The axes of a weight, one by one: `oihw` and `hwio` for convolutions, `eoi` for stacked experts.
///
/// Each letter is an [`Axis`]. Axes of one kind multiply; there must be an input and an output among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Axes {
    /// Those beyond the length are `Each`.
    roles: [Axis; Axes::MOST],
    length: u8,
}

impl Axes {
    /// So many axes at most.
    pub const MOST: usize = 8;

    /// The layout with these axes; `None` if they are more than [`Axes::MOST`], or lack an input or an output.
    pub fn new(axes: &[Axis]) -> Option<Self> {
        let has = |axis| axes.contains(&axis);
        let mut roles = [Axis::Each; Axes::MOST];
        roles.get_mut(..axes.len())?.copy_from_slice(axes);
        (has(Axis::In) && has(Axis::Out)).then_some(Self { roles, length: axes.len() as u8 })
    }

    /// The axes, first to last.
    pub fn roles(&self) -> &[Axis] {
        &self.roles[..usize::from(self.length)]
    }

    fn len(&self) -> usize {
        usize::from(self.length)
    }
}

impl std::fmt::Display for Axes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.roles().iter().try_for_each(|axis| {
            f.write_str(match axis {
                Axis::Out => "o",
                Axis::In => "i",
                Axis::Kernel => "k",
                Axis::Each => "e",
            })
        })
    }
}

impl std::str::FromStr for Axes {
    type Err = Error;

    /// Reads one letter an axis, of either case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let axes: Option<Vec<Axis>> = text
            .chars()
            .map(|letter| match letter.to_ascii_lowercase() {
                'o' => Some(Axis::Out),
                'i' => Some(Axis::In),
                'k' | 'd' | 'h' | 'w' => Some(Axis::Kernel),
                'e' | 'b' => Some(Axis::Each),
                _ => None,
            })
            .collect();
        axes.and_then(|axes| Axes::new(&axes)).ok_or_else(|| Error::LayoutName {
            name: text.to_owned(),
            suggestion: nearest(text, AxisLayout::ALL.map(AxisLayout::name)),
        })
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
