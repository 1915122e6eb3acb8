//! The random stream of a whole model, for code that draws into its own memory.

use fanin::{DType, Distribution, Native, NativeModel, Plan, Stream, TensorMut, Torch};

use crate::error::{Error, Result};

/// The random stream of a whole model: native or torch, with a seed.
#[derive(Debug, Clone)]
pub struct SeedSource(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Native(NativeModel),
    Torch(Box<Torch>),
}

impl SeedSource {
    /// Returns the native stream (counter-based, Philox). The values of a parameter depend only on the seed and on its
    /// name. Each name may be used once.
    pub fn native(seed: u64) -> Self {
        Self(Kind::Native(Native::new(seed).model()))
    }

    /// Returns the torch stream: PyTorch's CPU generator (MT19937) after `torch.manual_seed(seed)`, bit for bit. The values
    /// depend on the order in which parameters are drawn.
    pub fn torch(seed: u64) -> Self {
        Self::from(Torch::new(seed))
    }

    /// Returns torch's generator in its current state, or `None` for the native stream.
    pub fn generator(&self) -> Option<&Torch> {
        match &self.0 {
            Kind::Native(_) => None,
            Kind::Torch(torch) => Some(torch),
        }
    }

    /// Whether the values depend on the order in which parameters are drawn: the torch stream.
    pub fn is_sequential(&self) -> bool {
        matches!(self.0, Kind::Torch(_))
    }

    /// Calls `draw` with the stream of the parameter `name`, or with an error if the name was used before on the native
    /// stream. Returns what `draw` returns.
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

    /// Checks that the stream can draw all of these named plans, without drawing.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first plan that the stream cannot draw.
    pub fn check<'a>(&self, plans: impl IntoIterator<Item = (&'a str, &'a Plan)>) -> Result<()> {
        let mut copy = self.clone();
        for (name, plan) in plans {
            let checked = match &mut copy.0 {
                Kind::Native(model) => model.tensor(name).and_then(|stream| match plan.distribution() {
                    // Preparing an orthogonal matrix already computes its reflections, which takes long.
                    Distribution::Orthogonal { .. } => Ok(()),
                    _ => stream.prepare(plan).map(drop),
                }),
                Kind::Torch(torch) => peek_nothing(torch, plan),
            };
            checked.map_err(|source| Error::Tensor { tensor: name.to_owned(), source })?;
        }
        Ok(())
    }
}

/// Peeks an empty region of a plan, which runs the checks of the torch stream and draws nothing.
fn peek_nothing(torch: &Torch, plan: &Plan) -> std::result::Result<(), fanin::Error> {
    // A scalar has no empty region, and the torch stream can draw any scalar.
    if plan.shape().is_empty() {
        return Ok(());
    }
    let zeros = vec![0; plan.shape().len()];
    let tensor = match plan.dtype() {
        DType::F64 => TensorMut::contiguous::<f64>(&mut [], &zeros),
        DType::F16 => TensorMut::contiguous::<fanin::half::f16>(&mut [], &zeros),
        DType::BF16 => TensorMut::contiguous::<fanin::half::bf16>(&mut [], &zeros),
        _ => TensorMut::contiguous::<f32>(&mut [], &zeros),
    }?;
    torch.peek_region(plan, &zeros, tensor)
}

impl From<Torch> for SeedSource {
    /// Continues from the current state of a generator.
    fn from(torch: Torch) -> Self {
        Self(Kind::Torch(Box::new(torch)))
    }
}
