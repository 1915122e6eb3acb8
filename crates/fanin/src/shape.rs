//! Axis layouts of weights, and the fans that are computed from a shape and an axis layout.

use crate::error::{Error, nearest};

/// Returns the number of elements of a tensor with this shape. The shape `[]` is a scalar, which has one element.
///
/// # Errors
/// [`Error::ShapeOverflow`] if the product of all non-zero sizes does not fit in an `isize`. This includes empty
/// tensors such as `[0, usize::MAX]`, because their strides are products of the non-zero sizes.
pub fn element_count(shape: &[usize]) -> Result<usize, Error> {
    let overflow = || Error::ShapeOverflow { shape: shape.to_vec() };
    let nonzero =
        shape.iter().filter(|&&size| size != 0).try_fold(1usize, |count, &size| count.checked_mul(size));
    let nonzero = nonzero.filter(|&count| isize::try_from(count).is_ok()).ok_or_else(overflow)?;
    Ok(if shape.contains(&0) { 0 } else { nonzero })
}

/// The fan_in and the fan_out of a layer.
///
/// Each fan is a number of channels times the receptive field size. The receptive field size is the number of kernel
/// positions, `prod(kernel)`. For a matrix, the receptive field size is 1.
///
/// Sources: Glorot and Bengio 2010, section 4.2 (n_i and n_{i+1}); He et al. 2015, section 2.2 (n_l and n̂_l).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fans {
    /// The number of inputs of one output unit: input channels times the receptive field size.
    pub fan_in: usize,
    /// The number of output units that use one input: output channels times the receptive field size.
    pub fan_out: usize,
}

/// The axis layout of a weight: which axes are the outputs, the inputs and the kernel.
///
/// | axis layout | shape of a weight | used by |
/// |---|---|---|
/// | `out_in` | `[out, in / groups, kernel...]` | torch's `Linear` and `Conv` |
/// | `in_out` | `[in, out / groups, kernel...]` | torch's `ConvTranspose`, burn's `Linear`, transformers' `Conv1D` |
/// | `kernel_in_out` | `[kernel..., in / groups, out]` | Keras, JAX |
/// | one letter for each axis, such as `eoi` | see [`Axes`] | stacked experts |
///
/// `torch.nn.init` uses [`AxisLayout::OutIn`] with 1 group for every tensor. torch's fans are therefore wrong in two
/// cases:
///
/// * For a transposed convolution, torch exchanges fan_in and fan_out. [`AxisLayout::InOut`] gives the right fans.
/// * For a grouped convolution, torch's fan_out is too large by the factor `groups`. [`AxisLayout::grouped_fans`]
///   returns the right fans.
///
/// `Display` prints the name or the letters of an axis layout, and `FromStr` parses a name or letters.
///
/// ```
/// use fanin::{AxisLayout, Fans};
/// let experts: AxisLayout = "eoi".parse()?; // [expert, out, in]: each expert has separate fans
/// assert_eq!(experts.fans(&[8, 256, 64])?, Fans { fan_in: 64, fan_out: 256 });
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AxisLayout {
    /// `[out, in / groups, kernel...]`: torch's `Linear` and `Conv`.
    #[default]
    OutIn,
    /// `[in, out / groups, kernel...]`: torch's `ConvTranspose`, burn's `Linear` and transformers' `Conv1D`.
    InOut,
    /// `[kernel..., in / groups, out]`: Keras and JAX.
    KernelInOut,
    /// The role of each axis is given explicitly.
    Axes(Axes),
}

impl AxisLayout {
    /// The axis layouts that have a name.
    pub const ALL: [AxisLayout; 3] = [AxisLayout::OutIn, AxisLayout::InOut, AxisLayout::KernelInOut];

    /// Returns the name of the axis layout: `out_in`, `in_out`, `kernel_in_out` or, for explicit axes, `axes`. Specs
    /// use the first three names. For explicit axes, specs use the letters that `Display` prints.
    pub const fn name(self) -> &'static str {
        match self {
            AxisLayout::OutIn => "out_in",
            AxisLayout::InOut => "in_out",
            AxisLayout::KernelInOut => "kernel_in_out",
            AxisLayout::Axes(_) => "axes",
        }
    }

    /// Returns the fans of a weight with this shape, for a layer without groups.
    ///
    /// For [`AxisLayout::OutIn`], `fan_in = shape[1] * prod(shape[2..])` and `fan_out = shape[0] * prod(shape[2..])`,
    /// as in `torch.nn.init._calculate_fan_in_and_fan_out`. For explicit axes, the sizes of all axes with the same role
    /// are multiplied. Batch axes are ignored.
    ///
    /// # Errors
    /// * [`Error::Fans`] for fewer than two axes,
    /// * [`Error::AxisLayout`] if the number of explicit axes differs from the number of axes of the shape,
    /// * [`Error::ShapeOverflow`] if a fan does not fit in a `usize`.
    ///
    /// ```
    /// use fanin::{AxisLayout, Fans};
    /// assert_eq!(AxisLayout::OutIn.fans(&[64, 3, 7, 7])?, Fans { fan_in: 147, fan_out: 3136 });
    /// assert_eq!(AxisLayout::KernelInOut.fans(&[7, 7, 3, 64])?, Fans { fan_in: 147, fan_out: 3136 });
    /// # Ok::<(), fanin::Error>(())
    /// ```
    #[doc(alias = "_calculate_fan_in_and_fan_out")]
    pub fn fans(self, shape: &[usize]) -> Result<Fans, Error> {
        self.grouped_fans(shape, 1)
    }

    /// Returns the fans of a weight with this shape, for a convolution with `groups` groups.
    ///
    /// In a grouped convolution, the outputs of a group depend on the inputs of this group only. One channel axis of
    /// the weight has the channels of all groups, so its size is divided by `groups`:
    ///
    /// * in [`AxisLayout::OutIn`] and [`AxisLayout::KernelInOut`], the output axis,
    /// * in [`AxisLayout::InOut`] (a transposed convolution), the input axis.
    ///
    /// The other channel axis has the channels of one group, so its size is not divided. Each fan is the number of
    /// channels of one group, times the receptive field size (see [`Fans`]).
    ///
    /// ```
    /// use fanin::{AxisLayout, Fans};
    /// // Conv2d(64, 128, 3, groups=4): each group has 16 input and 32 output channels. The kernel has 9 positions.
    /// assert_eq!(AxisLayout::OutIn.grouped_fans(&[128, 16, 3, 3], 4)?, Fans { fan_in: 144, fan_out: 288 });
    /// // ConvTranspose2d(64, 128, 3, groups=4).
    /// assert_eq!(AxisLayout::InOut.grouped_fans(&[64, 32, 3, 3], 4)?, Fans { fan_in: 144, fan_out: 288 });
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`AxisLayout::fans`]. Also returns [`Error::FanGroups`] in three cases:
    ///
    /// * `groups` is 0,
    /// * `groups` does not divide the size of the axis with the channels of all groups,
    /// * `groups` is not 1, and the axis layout is [`AxisLayout::Axes`] with an order of letters that does not allow
    ///   groups. Such an order does not determine which axis has the channels of all groups. [`Axes`] lists the orders
    ///   that allow groups.
    pub fn grouped_fans(self, shape: &[usize], groups: usize) -> Result<Fans, Error> {
        if shape.len() < 2 {
            return Err(Error::Fans { shape: shape.to_vec() });
        }
        let roles = self.roles(shape.len());
        if roles.len() != shape.len() {
            return Err(Error::AxisLayout { layout: self.to_string(), shape: shape.to_vec() });
        }
        let overflow = || Error::ShapeOverflow { shape: shape.to_vec() };
        let product = |role: AxisRole| {
            let mut sizes = shape.iter().zip(&roles).filter(|(_, of)| **of == role).map(|(size, _)| *size);
            sizes.try_fold(1usize, |product, size| product.checked_mul(size))
        };
        let mut inputs = product(AxisRole::In).ok_or_else(overflow)?;
        let mut outputs = product(AxisRole::Out).ok_or_else(overflow)?;
        if groups != 1 {
            let wrong = || Error::FanGroups { groups, layout: self.to_string(), shape: shape.to_vec() };
            let with_all_groups = match self {
                AxisLayout::OutIn | AxisLayout::KernelInOut => AxisRole::Out,
                AxisLayout::InOut => AxisRole::In,
                AxisLayout::Axes(_) => grouped_axis(&roles).ok_or_else(wrong)?,
            };
            let of_all_groups = if with_all_groups == AxisRole::In { &mut inputs } else { &mut outputs };
            if groups == 0 || !of_all_groups.is_multiple_of(groups) {
                return Err(wrong());
            }
            *of_all_groups /= groups;
        }
        let receptive_field_size = product(AxisRole::Kernel).ok_or_else(overflow)?;
        let fan = |channels: usize| channels.checked_mul(receptive_field_size).ok_or_else(overflow);
        Ok(Fans { fan_in: fan(inputs)?, fan_out: fan(outputs)? })
    }

    /// Returns the role of each axis of a weight with `rank` axes, from first to last. For a named layout, the result
    /// has at least two roles, even if `rank` is less than 2. For explicit axes, the result does not depend on `rank`.
    pub fn roles(self, rank: usize) -> Vec<AxisRole> {
        let kernel = vec![AxisRole::Kernel; rank.saturating_sub(2)];
        match self {
            AxisLayout::OutIn => [vec![AxisRole::Out, AxisRole::In], kernel].concat(),
            AxisLayout::InOut => [vec![AxisRole::In, AxisRole::Out], kernel].concat(),
            AxisLayout::KernelInOut => [kernel, vec![AxisRole::In, AxisRole::Out]].concat(),
            AxisLayout::Axes(axes) => axes.roles().to_vec(),
        }
    }
}

/// Returns the role of the axis that has the channels of all groups. Returns `None` for an order of axes for which
/// [`Axes`] does not allow groups.
fn grouped_axis(roles: &[AxisRole]) -> Option<AxisRole> {
    use AxisRole::{In, Kernel, Out};
    let all = |roles: &[AxisRole]| roles.iter().all(|role| *role == Kernel);
    match roles {
        [Out, In, kernel @ ..] | [Out, kernel @ .., In] if all(kernel) => Some(Out),
        [In, Out, kernel @ ..] if !kernel.is_empty() && all(kernel) => Some(In),
        [kernel @ .., In, Out] if !kernel.is_empty() && all(kernel) => Some(Out),
        _ => None,
    }
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

    /// Parses the name of an axis layout, or one letter for each axis ([`Axes`]). The names are `out_in` (synonyms
    /// `torch`, `linear`, `conv`), `in_out` (synonyms `conv_transpose`, `transposed`) and `kernel_in_out` (synonyms
    /// `keras`, `jax`, `flax`).
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "out_in" | "torch" | "linear" | "conv" => Ok(AxisLayout::OutIn),
            "in_out" | "conv_transpose" | "transposed" => Ok(AxisLayout::InOut),
            "kernel_in_out" | "keras" | "jax" | "flax" => Ok(AxisLayout::KernelInOut),
            letters => letters.parse().map(AxisLayout::Axes),
        }
    }
}

/// The role of an axis of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AxisRole {
    /// Output channels: the letter `o`.
    Out,
    /// Input channels: the letter `i`.
    In,
    /// Kernel positions: the letter `k`, or `d`, `h`, `w` (depth, height, width).
    Kernel,
    /// Independent weights that share neither inputs nor outputs, such as experts: the letter `e`, or `b` (JAX's batch
    /// axis).
    Batch,
}

/// An axis layout with one letter for each axis, such as `oihw` and `hwio` for convolutions, or `eoi` for stacked
/// experts.
///
/// [`AxisRole`] defines the letters. The sizes of axes with the same role are multiplied. At least one axis must be an
/// input, and at least one axis must be an output.
///
/// For more than one group, the letters must have one of these orders. Here `k..` stands for any number of kernel axes.
///
/// * `oik..`: a convolution of torch
/// * `ok..i`: a convolution of MLX
/// * `k..io`: a convolution of JAX
/// * `iok..`: a transposed convolution of torch
///
/// With any other order, more than one group is an error. More than one group is also an error for `io` without kernel
/// axes, because this can be the order of JAX or the order of a transposed convolution of torch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Axes {
    /// The role of each axis. The elements `roles[length..]` are unused. They are always `Batch`, because the derived
    /// `PartialEq` and `Hash` include them.
    roles: [AxisRole; Axes::MAX_LEN],
    length: u8,
}

impl Axes {
    /// The largest number of axes.
    pub const MAX_LEN: usize = 8;

    /// Returns the axes with these roles. Returns `None` if there are more than [`Axes::MAX_LEN`] roles, if no role is
    /// an input, or if no role is an output.
    pub fn new(axes: &[AxisRole]) -> Option<Self> {
        let has = |role| axes.contains(&role);
        let mut roles = [AxisRole::Batch; Axes::MAX_LEN];
        roles.get_mut(..axes.len())?.copy_from_slice(axes);
        (has(AxisRole::In) && has(AxisRole::Out)).then_some(Self { roles, length: axes.len() as u8 })
    }

    /// Returns the role of each axis, from first to last.
    pub fn roles(&self) -> &[AxisRole] {
        &self.roles[..usize::from(self.length)]
    }
}

impl std::fmt::Display for Axes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.roles().iter().try_for_each(|axis| {
            f.write_str(match axis {
                AxisRole::Out => "o",
                AxisRole::In => "i",
                AxisRole::Kernel => "k",
                AxisRole::Batch => "e",
            })
        })
    }
}

impl std::str::FromStr for Axes {
    type Err = Error;

    /// Parses one letter for each axis, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let axes: Option<Vec<AxisRole>> = text
            .chars()
            .map(|letter| match letter.to_ascii_lowercase() {
                'o' => Some(AxisRole::Out),
                'i' => Some(AxisRole::In),
                'k' | 'd' | 'h' | 'w' => Some(AxisRole::Kernel),
                'e' | 'b' => Some(AxisRole::Batch),
                _ => None,
            })
            .collect();
        axes.and_then(|axes| Axes::new(&axes)).ok_or_else(|| Error::LayoutName {
            name: text.to_owned(),
            suggestion: nearest(text, AxisLayout::ALL.map(AxisLayout::name)),
        })
    }
}

/// The fan that Kaiming initialization uses: the variance of the weights is `gain^2 / fan`. torch calls this argument
/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fan {
    /// fan_in, which keeps the variance of the signal constant in the forward pass.
    #[default]
    In,
    /// fan_out, which keeps the variance of the gradient constant in the backward pass.
    Out,
}

impl Fan {
    /// Returns the name in specs: `fan_in` or `fan_out`.
    pub const fn name(self) -> &'static str {
        match self {
            Fan::In => "fan_in",
            Fan::Out => "fan_out",
        }
    }

    /// Returns the fan that this value selects: `fans.fan_in` or `fans.fan_out`.
    #[doc(alias = "_calculate_correct_fan")]
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

    /// Parses `fan_in` or `fan_out` in upper or lower case, as torch does.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name.to_lowercase().as_str() {
            "fan_in" => Ok(Fan::In),
            "fan_out" => Ok(Fan::Out),
            lower => Err(Error::Mode { name: lower.to_owned() }),
        }
    }
}
