//! The torch stream: the numbers of PyTorch's CPU generator, to the bit.
//!
//! Checked against torch 2.15 with AVX2 or better. What is promised:
//!
//! * `uniform`, `normal`, `trunc_normal` by rejection, `sparse`, and all schemes made of them: torch's bits, for f32,
//!   f64, f16 and bf16, in contiguous and strided memory, and torch's generator state afterwards. Strided memory is
//!   filled in memory order, as torch fills it.
//! * `orthogonal`: agreement to rounding, and torch's generator state; LAPACK builds differ among themselves. The bits
//!   depend neither on the number of threads nor on the CPU level. f16 and bf16, which torch refuses, are drawn and factored
//!   in f32.
//! * `trunc_normal` by `inverse_cdf` (torch before 2.12): agreement to two units in the last place, since torch takes
//!   the inverse error function from a library that has other bits on other CPUs.
//! * f64 normals use the logarithm, sine and cosine of the platform's C library, as torch does: torch's bits where both
//!   use the same one.
//!
//! Boxes ([`Torch::peek_region`], or [`Stream::fill_region`] which moves the generator as well): any slice of a uniform, normal,
//! truncated normal or sparse tensor that torch would fill contiguously, without the rest of it, by jumps of the twister.
//!
//! torch has no random fill for the types of eight bits. Here their values are those of f32, rounded as torch's `.to` rounds
//! them, and the generator's state is that after the f32 fill: so they pass `low` and reach `high` where rounding does.
//!
//! A plan in parts draws them one after another, each as a contiguous tensor of its own: `torch.cat` of initialized blocks,
//! `torch.stack` of initialized tensors.
//!
//! One known difference is kept out: in f32 and f64 the rejection of a narrow or far tail compares with the correctly
//! rounded logarithm, where torch's depends on the CPU. A comparison that this turns has not been met in 10^8.

mod cursors;
mod draw;
mod partition;
mod rejection;
mod scattered;
mod sparse;
mod truncated;
mod variates;

use super::fill::{Region, Span};
use draw::{BULK, Groups};
use half::{bf16, f16};
use truncated::{Bounded, MemoryLayout};

use super::{Stream, check_region, check_whole};
use crate::dtype::{DType, Element, F8E4M3, F8E5M2, Values, values};
use crate::error::Error;
use crate::linalg::{Real, qr::haar};
use crate::plan::{Distribution, Plan, Truncation};
use crate::rng::Mt19937;
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
        let mut bytes = vec![0; Self::STATE_BYTES];
        self.write_state(&mut bytes);
        bytes
    }

    /// Writes [`Torch::state`] over another state: for whoever gives a generator of torch's its state back.
    ///
    /// # Panics
    /// Unless there are [`Torch::STATE_BYTES`] bytes.
    pub fn write_state(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), Self::STATE_BYTES);
        let (head, rest) = bytes.split_at_mut(24);
        let (words, tail) = rest.split_at_mut(8 * Mt19937::STATE_WORDS);
        head[..8].copy_from_slice(&self.seed.to_le_bytes());
        head[8..12].copy_from_slice(&self.engine.left.to_le_bytes());
        head[12..16].copy_from_slice(&1u32.to_le_bytes());
        head[16..].copy_from_slice(&u64::from(self.engine.next).to_le_bytes());
        for (bytes, &word) in words.as_chunks_mut::<8>().0.iter_mut().zip(self.engine.state.iter()) {
            *bytes = u64::from(word).to_le_bytes();
        }
        // normal_x, normal_y, normal_rho, normal_is_valid and padding: the kept-back normal is y.
        tail.fill(0);
        tail[8..16].copy_from_slice(&self.next_normal.unwrap_or(0.0).to_le_bytes());
        tail[24] = u8::from(self.next_normal.is_some());
        let (value, valid) = self.next_float_normal;
        tail[32..36].copy_from_slice(&value.to_le_bytes());
        tail[36] = u8::from(valid);
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
        // torch reads past its state where the two disagree; here the words that are left decide.
        let fresh = next == 0 && left == 1;
        if !fresh && next + u64::from(left) != u64::from(words) + 1 {
            let reason = format!("left = {left} and next = {next} contradict each other");
            return Err(Error::State { reason });
        }
        let state = bytes[24..].as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word) as u32);
        let engine = Mt19937::with_state(state, next as u32, left);
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
    pub fn advance(&mut self, words: u64) {
        self.engine.advance_at(self.level(), words);
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

    /// Passes over what [`Stream::fill`] would draw for this plan, without filling anything.
    ///
    /// A jump, but for two: a truncated normal by rejection takes as many passes as its unluckiest value, so all of them are
    /// computed, a stretch at a time; and what torch draws in pairs (fewer than sixteen normals) is drawn.
    ///
    /// ```
    /// use fanin::{DType, Initializer as _, Stream as _, TensorMut, Torch, init};
    /// let plan = init::normal(0.0, 0.02).resolve(&[512, 512], DType::F32)?;
    /// let (mut filled, mut passed) = (Torch::new(0), Torch::new(0));
    /// plan.fill(&mut vec![0f32; 512 * 512], &mut filled)?;
    /// passed.advance_past(&plan)?;
    /// assert_eq!(filled, passed);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Stream::fill`].
    pub fn advance_past(&mut self, plan: &Plan) -> Result<(), Error> {
        check_plan(plan)?;
        match plan.dtype() {
            DType::F32 => self.advance_past_as::<f32>(plan),
            DType::F64 => self.advance_past_as::<f64>(plan),
            DType::F16 => self.advance_past_as::<f16>(plan),
            DType::BF16 => self.advance_past_as::<bf16>(plan),
            DType::F8E4M3 | DType::F8E5M2 => self.advance_past_as::<f32>(&widened(plan)),
        }
    }

    fn advance_past_as<E: Element>(&mut self, plan: &Plan) -> Result<(), Error> {
        let count = plan.len();
        let distribution = plan.distribution_on_torch();
        match distribution {
            Distribution::Constant { .. } | Distribution::Eye | Distribution::Dirac { .. } => {}
            Distribution::Hadamard { .. } | Distribution::RepeatedEye { .. } => {}
            Distribution::Blocks { .. } => {
                plan.blocks().iter().try_for_each(|part| self.advance_past_as::<E>(part.plan()))?;
            }
            Distribution::Orthogonal { .. } if E::DTYPE != DType::F64 && count >= BULK => {
                // Half types are drawn in f32.
                self.advance(Groups::<f32>::new(count).all);
            }
            Distribution::Orthogonal { .. } => {
                let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
                self.advance_past_as::<E>(&Plan::new(plan.shape(), plan.dtype(), normal)?)?;
            }
            _ if count < BULK => {
                let mut values = vec![E::default(); count];
                self.fill(plan, TensorMut::contiguous(&mut values, plan.shape())?)?;
            }
            Distribution::TruncatedNormal { method: None | Some(Truncation::Rejection), .. } => {
                // Each stretch tells how far it went; the whole goes as far as the farthest.
                const STRETCH: usize = 1 << 22;
                let whole = Region::whole(&[count]);
                let mut values = vec![E::default(); count.min(STRETCH)];
                let mut words = 0;
                for first in (0..count).step_by(STRETCH) {
                    let values = &mut values[..STRETCH.min(count - first)];
                    let span = whole.span().part(first, values.len());
                    words = words.max(self.clone().draw(
                        distribution,
                        span,
                        count,
                        values,
                        MemoryLayout::contiguous(count),
                    ));
                }
                self.advance(words);
            }
            _ => {
                // An empty stretch of the whole.
                let whole = Region::whole(&[count]);
                self.draw::<E>(
                    distribution,
                    whole.span().part(0, 0),
                    count,
                    &mut [],
                    MemoryLayout::contiguous(count),
                );
                if let Distribution::Sparse { .. } = distribution {
                    self.advance(sparse::words(plan));
                }
            }
        }
        Ok(())
    }

    /// As [`Stream::fill_region`], but this generator stays where it is: for whoever fills several boxes of one tensor.
    ///
    /// ```
    /// use fanin::{DType, Initializer as _, TensorMut, Torch, init};
    /// let plan = init::trunc_normal(0.0, 0.02).resolve(&[4096, 64], DType::F32)?;
    /// let generator = Torch::new(0);
    /// let mut rows = vec![0f32; 2 * 64]; // rows 4000 and 4001, without the 4000 before them
    /// generator.peek_region(&plan, &[4000, 0], TensorMut::contiguous(&mut rows, &[2, 64])?)?;
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Stream::fill_region`].
    pub fn peek_region(&self, plan: &Plan, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        check_plan(plan)?;
        if tensor.is_empty() || super::fill::fixed(self.threads, plan, start, &mut tensor) {
            return Ok(());
        }
        if is_narrow(plan) {
            super::room(plan, tensor.len() as u128)?;
            let mut wide = Vec::new();
            self.peek_region(&widened(plan), start, tensor.widened(&mut wide))?;
            tensor.narrow_from(&wide);
            return Ok(());
        }
        let size = tensor.shape().to_vec();
        if let Distribution::Blocks { .. } = plan.distribution() {
            if plan.has_background() {
                super::fill::background(self.threads, 0.0, &mut tensor);
            }
            let mut ahead = self.clone();
            for part in plan.blocks() {
                if let Some(meeting) = part.meet(start, &size) {
                    let view = tensor.view(&meeting.in_box, part.axes(), &meeting.size);
                    ahead.peek_region(part.plan(), &meeting.in_part, view)?;
                }
                ahead.advance_past(part.plan())?;
            }
            return Ok(());
        }
        self.room_for_zeros(plan, size.last().copied().unwrap_or(0))?;
        let region = Region::new(plan.shape(), start, &size);
        let count = plan.len();
        let mut ahead = self.clone();
        if count < BULK || matches!(plan.distribution(), Distribution::Orthogonal { .. }) {
            // What is drawn as a whole is drawn, and cut.
            super::room(plan, count as u128)?;
            let (memory, mut places) = tensor.places(Order::Index);
            values!(memory, memory => {
                let mut whole = vec![Default::default(); count];
                ahead.fill(plan, TensorMut::contiguous(&mut whole, plan.shape())?)?;
                for (first, length) in region.span().runs() {
                    for (value, place) in whole[first as usize..][..length].iter().zip(&mut places) {
                        memory[place] = *value;
                    }
                }
            });
            return Ok(());
        }
        tensor.write_in(Order::Index, |memory| {
            let layout = MemoryLayout::contiguous(count);
            values!(memory, out => _ = ahead.draw(plan.distribution_on_torch(), region.span(), count, out, layout));
        });
        if let Distribution::Sparse { zeros, .. } = plan.distribution() {
            ahead.punch(plan, zeros, start, &mut tensor);
        }
        Ok(())
    }

    /// Draws a stretch of a distribution that is drawn value by value, of which the whole has `count` values. Gives the words that
    /// were passed: those of the whole, but for rejection, where the whole may want more.
    fn draw<E: Element>(
        &mut self,
        distribution: Distribution,
        span: Span<'_>,
        count: usize,
        out: &mut [E],
        layout: MemoryLayout,
    ) -> u64 {
        match distribution {
            Distribution::Uniform { low, high } => self.uniform((low, high), span, count, out),
            Distribution::Normal { mean, std } => self.normals((mean, std), span, count, out, layout.bulk),
            Distribution::Sparse { std, .. } => self.normals((0.0, std), span, count, out, layout.bulk),
            Distribution::TruncatedNormal { mean, std, low, high, method } => {
                let distribution = Bounded { mean, std, low, high };
                if method == Some(Truncation::InverseCdf) {
                    self.truncated_by_inverse(distribution, span, count, out)
                } else {
                    self.truncated_by_rejection(distribution, span, count, out, layout)
                }
            }
            _ => unreachable!("{distribution:?} is not drawn value by value"),
        }
    }

    /// N(mean, std^2), by groups if torch would, else one after another.
    fn normals<E: Element>(
        &mut self,
        distribution: (f64, f64),
        span: Span<'_>,
        count: usize,
        out: &mut [E],
        bulk: bool,
    ) -> u64 {
        if bulk {
            return self.normal(distribution, span, count, out);
        }
        self.serial_normal(distribution, out);
        0
    }

    /// `gain * Q` of a Gaussian matrix, in the arithmetic of `T`.
    fn orthogonal<T: Element + Real, E: Element>(&mut self, plan: &Plan, gain: T, out: &mut [E]) {
        let count = plan.len();
        let mut gaussian = vec![T::default(); count];
        let whole = Region::whole(&[count]);
        self.normals((0.0, 1.0), whole.span(), count, &mut gaussian, count >= BULK);
        haar(gaussian, plan.matrix(), gain, self.level(), self.threads, out);
    }

    fn fill_orthogonal(&mut self, plan: &Plan, gain: f64, tensor: &mut TensorMut<'_>) -> Result<(), Error> {
        let (rows, columns) = plan.matrix();
        super::room(plan, 3 * rows as u128 * columns as u128)?;
        tensor.write_in(Order::Index, |memory| match memory {
            Values::F64(out) => self.orthogonal(plan, gain, out),
            other => values!(other, out => self.orthogonal(plan, gain as f32, out)),
        });
        Ok(())
    }
}

impl Stream for Torch {
    fn fill(&mut self, plan: &Plan, mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        check_plan(plan)?;
        let start = vec![0; plan.shape().len()];
        if super::fill::fixed(self.threads, plan, &start, &mut tensor) {
            return Ok(());
        }
        if is_narrow(plan) {
            super::room(plan, tensor.len() as u128)?;
            let mut wide = Vec::new();
            self.fill(&widened(plan), tensor.widened(&mut wide))?;
            tensor.narrow_from(&wide);
            return Ok(());
        }
        if let Distribution::Blocks { .. } = plan.distribution() {
            return super::fill_in_turn(self, plan, &mut tensor);
        }
        if let Distribution::Orthogonal { gain } = plan.distribution() {
            return if tensor.is_empty() { Ok(()) } else { self.fill_orthogonal(plan, gain, &mut tensor) };
        }
        self.room_for_zeros(plan, plan.matrix().1)?;
        let count = plan.len();
        let layout = MemoryLayout {
            bulk: tensor.is_contiguous() && count >= BULK,
            bulk_copy: tensor.copy_is_contiguous() && count >= BULK,
        };
        if let (Distribution::Sparse { zeros, std }, true) = (plan.distribution_on_torch(), layout.bulk)
            && zeros > 0
        {
            tensor.write_in(Order::Memory, |memory| {
                values!(memory, out => self.sparse(plan, (zeros, std), out));
            });
            self.advance(sparse::words(plan));
            return Ok(());
        }
        let whole = Region::whole(&[count]);
        tensor.write_in(Order::Memory, |memory| {
            values!(memory, out => _ = self.draw(plan.distribution_on_torch(), whole.span(), count, out, layout));
        });
        if let Distribution::Sparse { zeros, .. } = plan.distribution() {
            self.punch(plan, zeros, &start, &mut tensor);
            self.advance(sparse::words(plan));
        }
        Ok(())
    }

    /// The box, and the generator as filling the whole would leave it ([`Torch::advance`]); [`Torch::peek_region`] leaves it
    /// alone. The whole is one that torch sees as contiguous.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        if tensor.shape() == plan.shape() && tensor.is_contiguous() {
            return self.fill(plan, tensor);
        }
        self.peek_region(plan, start, tensor)?;
        self.advance_past(plan)
    }
}

/// Why types of eight bits do not come this far.
const NARROW: &str = "types of eight bits are drawn in f32";

/// Whether a plan's type is one that torch cannot draw.
fn is_narrow(plan: &Plan) -> bool {
    [F8E4M3::DTYPE, F8E5M2::DTYPE].contains(&plan.dtype())
}

/// The same plan in f32.
fn widened(plan: &Plan) -> Plan {
    plan.in_type(DType::F32)
}

/// `Err` for a plan that this stream cannot carry out.
fn check_plan(plan: &Plan) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|part| check_plan(part.plan()))?;
    if let Distribution::Sparse { .. } = plan.distribution()
        && u32::try_from(plan.matrix().0).is_err()
    {
        return Err(Error::ShapeOverflow { shape: plan.shape().to_vec() });
    }
    check_words(plan)?;
    truncated::check_bounds(plan)
}

/// `Err` for a shape whose words cannot be counted: those of a normal fill in 64 bits, and in 62 those of two passes of
/// rejection, from one of which to the next a walker counts.
fn check_words(plan: &Plan) -> Result<(), Error> {
    let each = if plan.dtype() == DType::F64 { 2 } else { 1 };
    let (values, again) = (plan.len() as u128, BULK as u128);
    let fits = match plan.distribution() {
        Distribution::TruncatedNormal { method: None | Some(Truncation::Rejection), .. } => {
            each * values <= 1 << 60
        }
        Distribution::Normal { .. } | Distribution::Sparse { .. } | Distribution::Orthogonal { .. } => {
            u64::try_from(each * (values + again)).is_ok()
        }
        _ => true,
    };
    if fits { Ok(()) } else { Err(Error::ShapeOverflow { shape: plan.shape().to_vec() }) }
}

/// Whether a type's arithmetic is f64.
fn is_double<E: Element>() -> bool {
    E::DTYPE == DType::F64
}
