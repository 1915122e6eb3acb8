//! Sequences of equidistant values.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer that writes equidistant values along the last axis. Created by [`arange`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arange {
    start: f64,
    end: Option<f64>,
    step: f64,
}

/// Returns an initializer that writes 0, 1, 2 and so on along the last axis. No random numbers are used.
///
/// The value at position `index` of the last axis is `start + step * index`, computed in f64 and rounded once. All rows
/// of the tensor are equal.
///
/// Spec: `arange(start=0, end, step=1)`, or `arange(end)` as in torch. The end is exclusive. If an end is given, the
/// number of values from the start to the end must be the size of the last axis. Without an end, the values fill the
/// last axis.
///
/// ```
/// # use fanin::{init, Native};
/// let mut steps = [0f32; 6];
/// init::arange().start(1.0).step(0.5).fill(&mut steps, &[2, 3], &mut Native::new(0).tensor("steps"))?;
/// assert_eq!(steps, [1.0, 1.5, 2.0, 1.0, 1.5, 2.0]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "linspace")]
pub const fn arange() -> Arange {
    Arange { start: 0.0, end: None, step: 1.0 }
}

impl Arange {
    /// Sets the first value, which must be finite.
    #[must_use]
    pub const fn start(self, start: f64) -> Self {
        Self { start, ..self }
    }

    /// Sets the end (exclusive). The number of values from the start to the end must be the size of the last axis.
    #[must_use]
    pub const fn end(self, end: f64) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Sets the difference between neighbouring values: a finite number.
    #[must_use]
    pub const fn step(self, step: f64) -> Self {
        Self { step, ..self }
    }
}

impl Initializer for Arange {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let Self { start, end, step } = *self;
        let plan = Plan::new(shape, dtype, Distribution::Arange { start, step })?;
        let length = shape.last().copied().unwrap_or(1);
        if let Some(end) = end {
            let count = ((end - start) / step).ceil().max(0.0);
            if count != length as f64 {
                return Err(Error::Arange { start, end, step, count, length, shape: shape.to_vec() });
            }
        }
        Ok(plan)
    }
}

impl std::fmt::Display for Arange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.end.as_ref().map(|end| end as &dyn std::fmt::Display);
        let arguments =
            [("start", unless(&self.start, 0.0)), ("end", end), ("step", unless(&self.step, 1.0))];
        write_spec(f, "arange", &arguments)
    }
}

initializer!(Arange);
