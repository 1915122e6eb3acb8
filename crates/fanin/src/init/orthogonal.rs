//! Orthogonal initialization (Saxe et al. 2013).

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::gain::Gain;
use crate::plan::{Block, Distribution, Plan};
use crate::shape::{AxisLayout, AxisRole};

/// An initializer of a semi-orthogonal matrix. Created by [`orthogonal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orthogonal {
    gain: Gain,
    layout: AxisLayout,
}

/// Returns an initializer of a semi-orthogonal matrix times a gain. The matrix is Haar-distributed (Mezzadri 2007).
///
/// The shape must have two axes or more. The first axis is the rows of the matrix. All other axes are flattened to the
/// columns. If the matrix has more rows than columns, its columns are orthonormal. Otherwise its rows are orthonormal.
/// With another axis layout ([`Orthogonal::layout`]), the rows are the output axis of the layout. Values of types
/// narrower than f32 are computed in f32 and rounded once.
///
/// On the torch stream, the matrix is the factor Q of the QR decomposition of a Gaussian matrix, as in torch. The
/// values agree with torch up to rounding. They are not bit-identical, because the results of torch depend on its
/// LAPACK library.
///
/// On the native stream, the matrix is a product of Householder reflections (Stewart 1980). The values are
/// bit-identical on every machine.
///
/// Source: Saxe et al. 2013, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks.
///
/// Spec: `orthogonal(gain=1, layout=out_in)`. The gain can be the name of a nonlinearity: `orthogonal(gain=relu)`.
///
/// ```
/// use fanin::{Native, init};
/// let mut w = [0f64; 2 * 3];
/// init::orthogonal().fill(&mut w, &[2, 3], &mut Native::new(0).tensor("w"))?;
/// let dot: f64 = (0..3).map(|k| w[k] * w[3 + k]).sum();
/// assert!(dot.abs() < 1e-14);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "orthogonal_")]
pub const fn orthogonal() -> Orthogonal {
    Orthogonal { gain: Gain::Value(1.0), layout: AxisLayout::OutIn }
}

impl Orthogonal {
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

impl Initializer for Orthogonal {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let distribution = Distribution::Orthogonal { gain: self.gain.value() };
        if self.layout == AxisLayout::OutIn {
            return Plan::new(shape, dtype, distribution);
        }
        self.layout.fans(shape)?;
        let roles = self.layout.roles(shape.len());
        if roles.contains(&AxisRole::Batch) {
            return Err(Error::Blocks {
                scheme: "orthogonal",
                reason: format!(
                    "layout = {} has a batch axis: write stacked(orthogonal, axis=...)",
                    self.layout
                ),
                shape: shape.to_vec(),
            });
        }
        // The output axis is moved to the front, because the outputs are the rows of the matrix.
        let (outputs, rest): (Vec<usize>, Vec<usize>) =
            (0..shape.len()).partition(|&axis| roles[axis] == AxisRole::Out);
        if outputs.len() > 1 {
            let count = outputs.len();
            return Err(Error::Blocks {
                scheme: "orthogonal",
                reason: format!(
                    "layout = {} has {count} output axes: expected 1, for the rows of the matrix",
                    self.layout
                ),
                shape: shape.to_vec(),
            });
        }
        let axes = [outputs, rest].concat();
        let own: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let matrix = Plan::new(&own, dtype, distribution)?;
        Plan::of_blocks(shape, dtype, vec![Block::new(vec![0; shape.len()], axes, String::new(), matrix)])
    }
}

impl std::fmt::Display for Orthogonal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = [
            ("gain", unless(&self.gain, Gain::Value(1.0))),
            ("layout", unless(&self.layout, AxisLayout::OutIn)),
        ];
        write_spec(f, "orthogonal", &arguments)
    }
}

initializer!(Orthogonal, layout);
