//! Saxe et al. 2013.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::gain::Gain;
use crate::plan::{Block, Distribution, Plan};
use crate::shape::{Axis, AxisLayout};

/// A semi-orthogonal matrix: made by [`orthogonal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orthogonal {
    gain: Gain,
    layout: AxisLayout,
}

/// A Haar-distributed semi-orthogonal matrix times a gain (Saxe et al. 2013; uniform over the group as Mezzadri 2007
/// asks).
///
/// Two axes or more, trailing ones flattened to `[shape[0], rest]`: the rows are orthonormal if there are no more of
/// them than columns, else the columns are. Types narrower than f32 are computed in f32 and rounded once. With
/// [`Orthogonal::layout`] the rows are the outputs, wherever their axis stands.
///
/// The torch stream factors torch's own Gaussian matrix and agrees with torch to rounding, not to the bit (LAPACK
/// builds differ among themselves); the native stream multiplies Householder reflections (Stewart 1980), to the bit.
///
/// Spec: `orthogonal(gain=1, layout=out_in)`; the gain may be a nonlinearity's name, `orthogonal(gain=relu)`.
#[doc(alias = "orthogonal_")]
pub const fn orthogonal() -> Orthogonal {
    Orthogonal { gain: Gain::Value(1.0), layout: AxisLayout::OutIn }
}

impl Orthogonal {
    /// The factor (finite): a number or a nonlinearity.
    #[must_use]
    pub fn gain(self, gain: impl Into<Gain>) -> Self {
        Self { gain: gain.into(), ..self }
    }

    /// Which axes are in and out.
    #[must_use]
    pub const fn layout(self, layout: AxisLayout) -> Self {
        Self { layout, ..self }
    }

    /// The factor, as a number.
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
        if roles.contains(&Axis::Each) {
            return Err(Error::Blocks {
                scheme: "orthogonal",
                reason: format!(
                    "layout = {} has tensors of their own: write stacked(orthogonal, axis=...)",
                    self.layout
                ),
                shape: shape.to_vec(),
            });
        }
        // The outputs first: they are the matrix's rows.
        let (outputs, rest): (Vec<usize>, Vec<usize>) =
            (0..shape.len()).partition(|&axis| roles[axis] == Axis::Out);
        if outputs.len() > 1 {
            let count = outputs.len();
            return Err(Error::Blocks {
                scheme: "orthogonal",
                reason: format!(
                    "layout = {} has {count} axes of outputs: the matrix's rows are one",
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

initializer!(Orthogonal);
