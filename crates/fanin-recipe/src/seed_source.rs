//! Where a model's numbers come from, for programs that draw into memory of their own: the adapters of frameworks.

use crate::{Error, Result};
use fanin::{Distribution, Native, NativeModel, Plan, Stream, TensorMut, Torch};

/// The stream of a whole model.
#[derive(Debug, Clone)]
pub struct SeedSource(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Native(NativeModel),
    Torch(Box<Torch>),
}

impl SeedSource {
    /// The native stream: the values of a parameter depend on seed and name alone. Each name is given once.
    pub fn native(seed: u64) -> Self {
        Self(Kind::Native(Native::new(seed).model()))
    }

    /// torch's stream after `torch.manual_seed(seed)`: parameters draw one after another, in the order in which they are
    /// asked for.
    pub fn torch(seed: u64) -> Self {
        Self::from(Torch::new(seed))
    }

    /// torch's generator as it stands now; nothing for the native stream, which has none.
    pub fn generator(&self) -> Option<&Torch> {
        match &self.0 {
            Kind::Native(_) => None,
            Kind::Torch(torch) => Some(torch),
        }
    }

    /// Whether the order of the parameters counts.
    pub fn are_sequential(&self) -> bool {
        matches!(self.0, Kind::Torch(_))
    }

    /// Hands `draw` the stream of the parameter of this name.
    ///
    /// # Errors
    /// What `draw` makes of the library's error if the name was asked for before, on the native stream.
    pub fn with<T>(
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

    /// Whether these would be drawn. Nothing is.
    ///
    /// # Errors
    /// `Tensor` with the first that would be refused.
    pub fn check<'a>(&self, plans: impl IntoIterator<Item = (&'a str, &'a Plan)>) -> Result<()> {
        let mut ahead = self.clone();
        for (name, plan) in plans {
            let checked = match &mut ahead.0 {
                Kind::Native(model) => model.tensor(name).and_then(|stream| match plan.distribution() {
                    // Preparing one draws its reflections.
                    Distribution::Orthogonal { .. } => Ok(()),
                    _ => stream.prepare(plan).map(drop),
                }),
                // A box of nothing is checked as any other. A scalar has none, and nothing to refuse.
                Kind::Torch(torch) => match plan.shape() {
                    [] => Ok(()),
                    shape => {
                        let nothing = vec![0; shape.len()];
                        empty(plan.dtype(), &nothing)
                            .and_then(|tensor| torch.peek_region(plan, &nothing, tensor))
                    }
                },
            };
            checked.map_err(|source| Error::Tensor { tensor: name.to_owned(), source })?;
        }
        Ok(())
    }
}

/// Memory for a box of nothing.
fn empty(dtype: fanin::DType, nothing: &[usize]) -> std::result::Result<TensorMut<'static>, fanin::Error> {
    match dtype {
        fanin::DType::F64 => TensorMut::contiguous::<f64>(&mut [], nothing),
        fanin::DType::F16 => TensorMut::contiguous::<fanin::half::f16>(&mut [], nothing),
        fanin::DType::BF16 => TensorMut::contiguous::<fanin::half::bf16>(&mut [], nothing),
        _ => TensorMut::contiguous::<f32>(&mut [], nothing),
    }
}

impl From<Torch> for SeedSource {
    /// Goes on where a generator stands.
    fn from(torch: Torch) -> Self {
        Self(Kind::Torch(Box::new(torch)))
    }
}
