//! The torch stream: the numbers of PyTorch's CPU generator, to the bit.
//!
//! Checked against torch 2.15 with AVX2 or better. What is promised:
//!
//! * `uniform`, `normal`, `trunc_normal` by rejection, `sparse`, and all schemes made of them: torch's bits, for f32,
//!   f64, f16 and bf16, in contiguous and strided memory, and torch's generator state afterwards. Strided memory is
//!   filled in memory order, as torch fills it.
//! * `orthogonal`: agreement to rounding, and torch's generator state; LAPACK builds differ among themselves. f16 and
//!   bf16, which torch refuses, are drawn and factored in f32.
//! * `trunc_normal` by `inverse_cdf` (torch before 2.12): agreement to two units in the last place, since torch takes
//!   the inverse error function from a library that has other bits on other CPUs.
//! * f64 normals use the logarithm, sine and cosine of the platform's C library, as torch does: torch's bits where both
//!   use the same one.
//!
//! One known difference is kept out: in f32 and f64 the rejection of a narrow or far tail compares with the correctly
//! rounded logarithm, where torch's depends on the CPU. A comparison that this turns has not been met in 10^8.

mod draw;
mod truncated;

use super::{Stream, check_box, check_whole};
#[cfg(feature = "qr")]
use crate::element::Values;
use crate::element::{DType, Element, values};
use crate::engine::Mt19937;
use crate::error::Error;
use crate::plan::{Law, Plan, Truncation};
use crate::simd::Level;
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// torch's CPU generator: a Mersenne twister and the normal it has kept back.
///
/// ```
/// use fanin::{Torch, init};
/// let mut generator = Torch::new(0); // torch.manual_seed(0)
/// let mut w = [0f32; 3];
/// init::uniform(0.0, 1.0).fill(&mut w, &[3], &mut generator)?;
/// assert_eq!(w, [0.49625659, 0.7682218, 0.08847743]); // torch.rand(3)
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Torch {
    seed: u64,
    engine: Mt19937,
    /// The second normal of a pair, before std and mean, kept for the next one asked for.
    next_normal: Option<f64>,
    /// Kept for whoever set it: nothing on the CPU uses it.
    next_float_normal: (f32, bool),
    level: Option<Level>,
    threads: Threads,
}

impl Torch {
    /// Bytes of [`Torch::state`].
    pub const STATE_BYTES: usize = 5056;

    /// The generator after `torch.manual_seed(seed)`. torch takes negative seeds as well: cast them, `-1i64 as u64`.
    ///
    /// The twister sees the low 32 bits only, so seeds that agree there give the same numbers.
    #[doc(alias = "manual_seed")]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            engine: Mt19937::new(seed as u32),
            next_normal: None,
            next_float_normal: (0.0, false),
            level: None,
            threads: Threads::Pool,
        }
    }

    /// Starts again from a seed, forgetting the kept-back normal.
    pub fn manual_seed(&mut self, seed: u64) {
        *self = Self { level: self.level, threads: self.threads, ..Self::new(seed) };
    }

    /// The seed it was last started from.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Computes at this CPU level (or at the best there is, if the CPU lacks it). The bits do not depend on it.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Computes on these threads. The bits do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    fn level(&self) -> Level {
        self.level.unwrap_or_else(Level::best)
    }

    /// The state as `torch.get_rng_state()` gives it: 5056 bytes.
    #[doc(alias = "get_rng_state")]
    #[doc(alias = "get_state")]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::STATE_BYTES);
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(self.engine.left.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(u64::from(self.engine.next).to_le_bytes());
        bytes.extend(self.engine.state.iter().flat_map(|&word| u64::from(word).to_le_bytes()));
        // normal_x, normal_y, normal_rho, normal_is_valid and padding: the kept-back normal is y.
        bytes.extend(0f64.to_le_bytes());
        bytes.extend(self.next_normal.unwrap_or(0.0).to_le_bytes());
        bytes.extend(0f64.to_le_bytes());
        bytes.extend(u64::from(self.next_normal.is_some()).to_le_bytes());
        let (value, valid) = self.next_float_normal;
        bytes.extend(value.to_le_bytes());
        bytes.extend(u32::from(valid).to_le_bytes());
        bytes
    }

    /// The generator whose [`Torch::state`] this is, as `torch.set_rng_state()` takes it.
    ///
    /// # Errors
    /// `State` for another length, or an engine position that cannot be: as torch refuses them.
    #[doc(alias = "set_rng_state")]
    pub fn from_state(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != Self::STATE_BYTES {
            let reason =
                format!("{} bytes, where torch's CPU generator has {}", bytes.len(), Self::STATE_BYTES);
            return Err(Error::State { reason });
        }
        let word64 = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let word32 = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let (left, seeded, next) = (word32(8), word32(12), word64(16));
        let words = Mt19937::STATE_WORDS as u32;
        if seeded == 0 || !(1..=words).contains(&left) || next > words.into() {
            let reason = format!("Invalid mt19937 state (seeded = {seeded}, left = {left}, next = {next})");
            return Err(Error::State { reason });
        }
        let mut engine = Mt19937::new(0);
        for (k, word) in engine.state.iter_mut().enumerate() {
            *word = word64(24 + 8 * k) as u32;
        }
        // torch reads past its state where the two disagree; here the words that are left decide.
        let fresh = next == 0 && left == 1;
        if !fresh && next + u64::from(left) != u64::from(words) + 1 {
            let reason = format!("left = {left} and next = {next} contradict each other");
            return Err(Error::State { reason });
        }
        (engine.left, engine.next) = (left, next as u32);
        let kept = f64::from_bits(word64(5024));
        Ok(Self {
            seed: word64(0),
            engine,
            next_normal: (word32(5040) != 0).then_some(kept),
            next_float_normal: (f32::from_bits(word32(5048)), bytes[5052] != 0),
            level: None,
            threads: Threads::Pool,
        })
    }

    /// Takes over a state, as `torch.set_rng_state()` does.
    ///
    /// # Errors
    /// As [`Torch::from_state`]; this generator is then as it was.
    pub fn set_state(&mut self, bytes: &[u8]) -> Result<(), Error> {
        *self = Self { level: self.level, threads: self.threads, ..Self::from_state(bytes)? };
        Ok(())
    }

    /// The next 32-bit word, as `generator->random()` gives it.
    pub fn word(&mut self) -> u32 {
        self.engine.word()
    }

    /// Passes over so many 32-bit words, as if they had been drawn: by a jump where they are many, about a millisecond at
    /// most. The kept-back normal stays.
    pub fn skip(&mut self, words: u64) {
        self.engine.skip_at(self.level(), words);
    }

    /// `torch.randperm(n)`: a forward Fisher-Yates shuffle, one word a step.
    ///
    /// # Panics
    /// If n is 2^32 or more, where torch draws otherwise.
    pub fn randperm(&mut self, n: usize) -> Vec<usize> {
        assert!(u32::try_from(n).is_ok(), "randperm of 2^32 or more is not offered");
        let mut permutation: Vec<usize> = (0..n).collect();
        for at in 0..n.saturating_sub(1) {
            let step = self.word() as usize % (n - at);
            permutation.swap(at, at + step);
        }
        permutation
    }

    /// Draws a law that is drawn value by value, in memory order, into `out`.
    ///
    /// `bulk` says whether torch sees contiguous memory; `bulk_copy` whether a fresh tensor like it would be.
    fn draw<E: Element>(&mut self, law: Law, out: &mut [E], bulk: bool, bulk_copy: bool) {
        match law {
            Law::Uniform { low, high } => self.uniform(low, high, out),
            Law::Normal { mean, std } => self.normal(mean, std, out, bulk),
            Law::Sparse { std, .. } => self.normal(0.0, std, out, bulk),
            Law::TruncatedNormal { mean, std, low, high, method: Some(Truncation::InverseCdf) } => {
                self.truncated_by_inverse(mean, std, low, high, out);
            }
            Law::TruncatedNormal { mean, std, low, high, .. } => {
                self.truncated_by_rejection(mean, std, low, high, out, bulk, bulk_copy);
            }
            _ => unreachable!("{law:?} is not drawn value by value"),
        }
    }

    /// `gain * Q` of a Gaussian matrix, row-major, in the arithmetic of `T`.
    #[cfg(feature = "qr")]
    fn orthogonal<T>(&mut self, rows: usize, columns: usize, gain: T) -> Vec<T>
    where
        T: Element + crate::linalg::Real + faer::traits::ComplexField,
    {
        let mut gaussian = vec![T::default(); rows * columns];
        self.normal(0.0, 1.0, &mut gaussian, true);
        let mut q = crate::linalg::qr::haar(gaussian, rows, columns);
        q.iter_mut().for_each(|value| *value *= gain);
        q
    }

    #[cfg(feature = "qr")]
    fn fill_orthogonal(&mut self, plan: &Plan, gain: f64, tensor: &mut TensorMut<'_>) -> Result<(), Error> {
        let (rows, columns) = plan.matrix();
        super::room(plan, 2 * rows as u128 * columns as u128)?;
        let (memory, places) = tensor.places(Order::Index);
        match memory {
            Values::F64(memory) => {
                let q = self.orthogonal(rows, columns, gain);
                places.zip(q).for_each(|(place, value)| memory[place] = value);
            }
            other => {
                let q = self.orthogonal(rows, columns, gain as f32);
                values!(other, memory => {
                    places.zip(q).for_each(|(place, value)| memory[place] = Element::from_f64(value.into()));
                });
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "qr"))]
    fn fill_orthogonal(&mut self, _: &Plan, _: f64, _: &mut TensorMut<'_>) -> Result<(), Error> {
        Err(Error::Feature { what: "orthogonal on the torch stream", feature: "qr" })
    }

    /// Writes the zeros of `sparse`, a column at a time.
    fn punch(&mut self, plan: &Plan, zeros: usize, tensor: &mut TensorMut<'_>) {
        let (rows, columns) = plan.matrix();
        let (row_step, column_step) = tensor.matrix_steps();
        for column in 0..columns {
            let permutation = self.randperm(rows);
            let (memory, origin) = tensor.place(&[0, 0]);
            let first = origin as isize + column as isize * column_step;
            values!(memory, memory => {
                for &row in &permutation[..zeros] {
                    memory[(first + row as isize * row_step) as usize] = Default::default();
                }
            });
        }
    }
}

impl Stream for Torch {
    fn fill(&mut self, plan: &Plan, mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        truncated::check(plan)?;
        if let Law::Sparse { .. } = plan.law()
            && u32::try_from(plan.matrix().0).is_err()
        {
            return Err(Error::ShapeOverflow { shape: plan.shape().to_vec() });
        }
        let start = vec![0; plan.shape().len()];
        if super::fill::fixed(self.threads, plan, &start, &mut tensor) {
            return Ok(());
        }
        if let Law::Orthogonal { gain } = plan.law() {
            return if tensor.is_empty() { Ok(()) } else { self.fill_orthogonal(plan, gain, &mut tensor) };
        }
        let (bulk, bulk_copy) = (tensor.is_contiguous(), tensor.copy_is_contiguous());
        tensor.write_in(Order::Memory, |memory| {
            values!(memory, memory => self.draw(plan.law_on_torch(), memory, bulk, bulk_copy));
        });
        if let Law::Sparse { zeros, .. } = plan.law() {
            self.punch(plan, zeros, &mut tensor);
        }
        Ok(())
    }

    fn fill_box(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_box(plan, start, &tensor)?;
        if tensor.shape() != plan.shape() {
            return Err(Error::NoRandomAccess { stream: "torch" });
        }
        self.fill(plan, tensor)
    }
}

/// Whether a type's arithmetic is f64.
fn is_double<E: Element>() -> bool {
    E::DTYPE == DType::F64
}
