//! [`SeedSource`]: the random stream for the parameters of a whole model.

use fanin::{DType, Distribution, Native, NativeModel, Plan, Stream, TensorMut, Torch};

use crate::error::{Error, Result};

/// The random stream of a whole model: the native stream or the torch stream, with a seed.
#[derive(Debug, Clone)]
pub struct SeedSource(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Native(NativeModel),
    Torch(Box<Torch>),
}

impl SeedSource {
    /// Returns the native stream (counter-based, Philox). The values of a parameter depend only on the seed and on the
    /// parameter's name. Each parameter name can be used only once.
    pub fn native(seed: u64) -> Self {
        Self(Kind::Native(Native::new(seed).model()))
    }

    /// Returns the torch stream: PyTorch's CPU generator (MT19937) in its state after `torch.manual_seed(seed)`. The
    /// values are bit-identical to PyTorch's, and depend on the order in which parameters are drawn.
    pub fn torch(seed: u64) -> Self {
        Self::from(Torch::new(seed))
    }

    /// Returns the generator of the torch stream in its current state, or `None` for the native stream.
    pub fn generator(&self) -> Option<&Torch> {
        match &self.0 {
            Kind::Native(_) => None,
            Kind::Torch(torch) => Some(torch),
        }
    }

    /// Returns true if the values depend on the order in which parameters are drawn. Returns false for the native
    /// stream.
    pub fn is_sequential(&self) -> bool {
        matches!(self.0, Kind::Torch(_))
    }

    /// Calls `draw` with the stream of the parameter `name`, and returns the result of `draw`.
    ///
    /// If the stream is native and `name` was used before, `draw` is called with an error instead of a stream.
    pub fn with_stream<T>(
        &mut self,
        name: &str,
        draw: impl FnOnce(std::result::Result<&mut dyn Stream, fanin::Error>) -> T,
    ) -> T {
        match &mut self.0 {
            Kind::Native(model) => match model.tensor(name) {
                Ok(mut stream) => draw(Ok(&mut stream)),
                Err(error) => draw(Err(error)),
            },
            Kind::Torch(torch) => draw(Ok(torch.as_mut())),
        }
    }

    /// Checks that the stream can draw the values of all plans. Each element of `plans` is the name and the plan of a
    /// parameter. The state of the stream does not change. The memory that drawing needs is not checked.
    ///
    /// # Errors
    /// Returns [`Error::Tensor`] for the first plan whose values the stream cannot draw. Also returns this error for
    /// a name that was used before, if the stream is native.
    pub fn check<'a>(&self, plans: impl IntoIterator<Item = (&'a str, &'a Plan)>) -> Result<()> {
        let mut copy = self.clone();
        for (name, plan) in plans {
            let checked = match &mut copy.0 {
                Kind::Native(model) => model.tensor(name).and_then(|stream| match plan.distribution() {
                    // `prepare` is not called for an orthogonal matrix, because `prepare` would factor the matrix,
                    // which takes a long time.
                    Distribution::Orthogonal { .. } => Ok(()),
                    _ => stream.prepare(plan).map(drop),
                }),
                Kind::Torch(torch) => check_peek(torch, plan),
            };
            checked.map_err(|source| Error::Tensor { tensor: name.to_owned(), source })?;
        }
        Ok(())
    }
}

/// Returns an error if the torch stream cannot draw the values of a plan. Calls `peek_region` with an empty region:
/// this call checks the plan, but draws no values. A scalar has no empty region, so the call draws its only value. The
/// state of `torch` does not change.
fn check_peek(torch: &Torch, plan: &Plan) -> std::result::Result<(), fanin::Error> {
    let zeros = vec![0; plan.shape().len()];
    let values = usize::from(zeros.is_empty());
    let (mut f64, mut f32) = ([0f64; 1], [0f32; 1]);
    let (mut f16, mut bf16) = ([fanin::half::f16::ZERO; 1], [fanin::half::bf16::ZERO; 1]);
    let tensor = match plan.dtype() {
        DType::F64 => TensorMut::contiguous(&mut f64[..values], &zeros),
        DType::F16 => TensorMut::contiguous(&mut f16[..values], &zeros),
        DType::BF16 => TensorMut::contiguous(&mut bf16[..values], &zeros),
        _ => TensorMut::contiguous(&mut f32[..values], &zeros),
    }?;
    torch.peek_region(plan, &zeros, tensor)
}

impl From<Torch> for SeedSource {
    /// Returns the torch stream that continues from the current state of the generator `torch`.
    fn from(torch: Torch) -> Self {
        Self(Kind::Torch(Box::new(torch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin::Initializer as _;

    #[test]
    fn a_plan_that_the_torch_stream_cannot_draw_is_an_error_for_scalars_too() {
        let torch = SeedSource::from(Torch::new(0));
        for shape in [&[][..], &[3]] {
            for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
                let plan =
                    |spec: &str| spec.parse::<fanin::init::Init>().unwrap().resolve(shape, dtype).unwrap();
                torch.check([("scale", &plan("normal"))]).unwrap();
                let error = torch.check([("scale", &plan("log_uniform(a=1, b=2)"))]).unwrap_err();
                assert!(error.to_string().contains("log_uniform"), "{error}");
            }
        }
    }
}
