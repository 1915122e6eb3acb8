//! Delta-orthogonal initialization of convolutions (Xiao et al. 2018).

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::gain::Gain;
use crate::plan::{Block, Distribution, Plan};
use crate::shape::{AxisLayout, AxisRole};

/// An initializer of a convolution whose kernel is an orthogonal matrix at the centre and 0 elsewhere. Created by
/// [`delta_orthogonal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaOrthogonal {
    gain: Gain,
    layout: AxisLayout,
}

/// Returns an initializer of a convolution: an orthogonal matrix at the centre of the kernel, 0 elsewhere. Source: Xiao
/// et al. 2018, Dynamical isometry and a mean field theory of CNNs, arXiv 1806.05393, algorithm 2.
///
/// The matrix is Haar-distributed with orthonormal columns, and is multiplied by the gain. Along a kernel axis of size
/// `k`, the centre is the position `(k - 1) / 2` (rounded down). If the gain is 1, a convolution with stride 1 and
/// `padding='same'` preserves the norm of its input.
///
/// The shape is `[out, in, kernel...]` with three to five axes. `out` must not be less than `in`. In JAX, the scheme
/// has the same name. The weights of JAX and Keras have the axis layout `kernel_in_out` ([`DeltaOrthogonal::layout`]).
///
/// Spec: `delta_orthogonal(gain=1, layout=out_in)`.
///
/// ```
/// use fanin::{Native, init};
/// let mut w = vec![0f32; 32 * 16 * 9];
/// init::delta_orthogonal().fill(&mut w, &[32, 16, 3, 3], &mut Native::new(0).tensor("conv.weight"))?;
/// assert_eq!(w.iter().filter(|x| **x != 0.0).count(), 32 * 16);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn delta_orthogonal() -> DeltaOrthogonal {
    DeltaOrthogonal { gain: Gain::Value(1.0), layout: AxisLayout::OutIn }
}

impl DeltaOrthogonal {
    /// Sets the number by which the matrix is multiplied: a finite number, or the gain of a nonlinearity (default: 1).
    #[must_use]
    pub fn gain(self, gain: impl Into<Gain>) -> Self {
        Self { gain: gain.into(), ..self }
    }

    /// Returns the gain as a number.
    pub fn gain_value(self) -> f64 {
        self.gain.value()
    }
}

impl Initializer for DeltaOrthogonal {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        const NAME: &str = "delta_orthogonal";
        if !(3..=5).contains(&shape.len()) {
            return Err(Error::Dimensions { scheme: NAME, supported: "3, 4, or 5", shape: shape.to_vec() });
        }
        let fans = self.layout.fans(shape)?;
        let (outputs, inputs) = single_channels(NAME, self.layout, shape)?;
        if shape[inputs] > shape[outputs] {
            return Err(Error::Blocks {
                scheme: NAME,
                reason: format!(
                    "{} inputs do not fit into {} outputs: there must be at least as many outputs as inputs",
                    shape[inputs], shape[outputs]
                ),
                shape: shape.to_vec(),
            });
        }
        let distribution = Distribution::Orthogonal { gain: self.gain.value() };
        let matrix = Plan::new(&[shape[outputs], shape[inputs]], dtype, distribution)?.with_fans(fans);
        let mut start: Vec<usize> = shape.iter().map(|size| size.saturating_sub(1) / 2).collect();
        (start[outputs], start[inputs]) = (0, 0);
        Plan::of_blocks(shape, dtype, vec![Block::new(start, vec![outputs, inputs], String::new(), matrix)])
    }
}

/// Returns the indices of the output axis and the input axis. The layout must have exactly one of each, and no batch
/// axis.
fn single_channels(
    scheme: &'static str,
    layout: AxisLayout,
    shape: &[usize],
) -> Result<(usize, usize), Error> {
    let roles = layout.roles(shape.len());
    let one = |wanted| {
        let mut found = (0..roles.len()).filter(|&axis| roles[axis] == wanted);
        found.next().filter(|_| found.next().is_none())
    };
    match (one(AxisRole::Out), one(AxisRole::In)) {
        (Some(outputs), Some(inputs)) if !roles.contains(&AxisRole::Batch) => Ok((outputs, inputs)),
        _ => Err(Error::Blocks {
            scheme,
            reason: format!(
                "layout = {layout} must have one o, one i and kernel axes; for stacked kernels write stacked({scheme})"
            ),
            shape: shape.to_vec(),
        }),
    }
}

impl std::fmt::Display for DeltaOrthogonal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = [
            ("gain", unless(&self.gain, Gain::Value(1.0))),
            ("layout", unless(&self.layout, AxisLayout::OutIn)),
        ];
        write_spec(f, "delta_orthogonal", &arguments)
    }
}

initializer!(DeltaOrthogonal, layout);
