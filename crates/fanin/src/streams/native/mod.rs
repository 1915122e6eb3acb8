//! The native stream, version 1.
//!
//! The value at a global row-major index of the tensor called `name` under `seed` is a pure function of these: threads,
//! chunks, shards, hosts and CPUs cannot change it. This page is the promise, in enough detail to write it again.
//!
//! # Keys
//! For each tensor and purpose, BLAKE3 is run over
//!
//! ```text
//! "fanin native stream" (19 bytes) | version 1 (u32) | length of purpose (u32) | purpose
//!     | seed (u64) | length of name (u64) | name (UTF-8)
//! ```
//!
//! all integers little-endian, and its first sixteen bytes are four little-endian words: the two of a Philox4x32-10
//! key, then the counter's words 2 and 3. Counter words 0 and 1 are the block number, low half first. The name is
//! first stripped of wrappers ([`canonical_name`]). The purposes: `values32` for f32, f16 and bf16, `values64` for f64,
//! `permutation` for the zeros of `sparse`, `reflections32` and `reflections64` for `orthogonal`.
//!
//! # Words
//! Sixteen blocks make a **group**. An f32 value takes one word: the value at index i is in group `i / 64`; with
//! `o = i mod 64` it comes from word `o / 16` of block `16 (i / 64) + o mod 16`. An f64 value takes two: group `i / 32`,
//! `o = i mod 32`, from words `2 (o / 16)` (high) and `2 (o / 16) + 1` (low) of block `16 (i / 32) + o mod 16`.
//!
//! Below, `w` is a word, `s(w)` the same bits as a signed integer, `W = high * 2^32 + low` two words; `+ 1/2` and the
//! conversion of an integer are rounded to the type. Every step is rounded to nearest in the type (f32 for f16 and
//! bf16), a fused multiply-add `fma(x, y, z)` once. f16 and bf16 are the f32 value at the same index, rounded once, ties
//! to even.
//!
//! **Held to the type**: uniform and truncated normal values are last clamped to [least, greatest], the least value of
//! the element type that is not below a, and the greatest that is below b (uniform) or not above b (truncated normal);
//! if no value lies between, both are the one nearest to the middle. So rounding to f16 or bf16 cannot pass a bound.
//!
//! # uniform
//! f32: `fma(s(w), scale, middle)`, `scale = (b - a) / 2^32`, `middle = a / 2 + b / 2`, both computed in f64 and rounded
//! to f32. f64: the same with `fma(s(high), 2^32, low)` and 2^64. If a = b every value is a.
//!
//! # normal
//! Box and Muller: `z = r cos t` and `r sin t`, the value `fma(z, std, mean)`.
//!
//! f32: words 0 and 1 of a block make the values of words 0 (cosine) and 1 (sine); words 2 and 3 those of words 2 and 3.
//! With w the first and w' the second of a pair, `r = sqrt(-2 ln u)`, `u = min(w + 1/2, 2^32 - 2^8) / 2^32`, and
//! `t = 2 pi (w' + 1/2) / 2^32`, reduced in integers: the quarter is `(w' + 2^29 mod 2^32) / 2^30`, and what it leaves,
//! as a signed integer plus 1/2, is multiplied by 2 pi / 2^32.
//!
//! f64: words 0 and 1 of a block are the radius, `u = min(W + 1/2, 2^64 - 2^11) / 2^64`; words 2 and 3 the angle,
//! `t = 2 pi (W' + 1/2) / 2^64`, where what the quarter leaves is `fma(s(high), 2^32, low + 1/2) * (2 pi / 2^64)`; the
//! cosine is the value of words 0 and 1, the sine that of words 2 and 3.
//!
//! # trunc_normal
//! The inverse distribution function, one draw a value. In standard units `alpha = (a - mean) / std`,
//! `beta = (b - mean) / std`; where `alpha + beta < 0` the interval is reflected, so that `near = alpha` or `-beta` is
//! its end nearer to the centre's far side and the bulk lies above. `u` is `(w + 1/2) / 2^32`, in f64 `(W + 1/2) / 2^64`;
//! `u'` is the same of the complemented words, that is 1 - u to full relative precision. The first line that holds
//! decides, for the whole tensor:
//!
//! | regime | where | value |
//! |---|---|---|
//! | point | near > 1e150 | the near cut-off |
//! | flat | width * max(1, \|near\|) <= 2^-26, width = (b - a) / std | uniform on [a, b] |
//! | tail | near >= 5, or width < 2^-26 | `fma(delta, +-std, cut-off)`, delta the distance from the near cut-off |
//! | body | f32, f16, bf16; width >= 1/8; w* < 24.5 | `fma(z, std, mean)`, z the f32 quantile |
//! | centre | the rest | `fma(z, std, mean)`, z the f64 quantile (Wichura 1988, AS 241), rounded to the type last |
//!
//! *Centre and body.* With `below = P(Z < alpha)`, `above = P(Z > beta)` (by the complementary error function) and `mass`
//! between them, the tails at u are `lower = fma(u, mass, below)` and `upper = fma(u', mass, above)`; the smaller one is
//! the quantile's tail. In f32 these take `w + 2^31 mod 2^32` for w, and the signed place is
//! `x = fma(s(w) + 1/2, 2 mass / 2^32, below - above)`; `w*` is `-ln(4 t (1 - t))` at the smallest tail
//! `t = min(below, above) + mass / 2^33`, and the quantile's polynomial for tails is left out where w* < 5.249.
//!
//! *Tail.* `delta` solves `g(delta) = -ln(1 - u m)`, where with M the ratio of Mills and `h(z) = ln(z M(z))`,
//! `g(delta) = delta (near + delta / 2) + ln(1 + delta / near) - h(near + delta) + h(near)` is minus the logarithm of the
//! share of the upper tail that lies beyond `near + delta`, and `m = 1 - exp(-g(width))`: by four Newton steps from
//! `2 E / (sqrt(near^2 + 2 E) + near)`, E being the right side. An interval narrower than 2^-26 takes `delta = E / near`
//! with `m = 1 - exp(-near width)`. The arithmetic is f64, the value rounded to the type last.
//!
//! # sparse
//! The normal value at the index, and 0 at the `zeros` places of column c that the words under `permutation` pick.
//!
//! Up to 256 rows, by a forward Fisher-Yates shuffle of 0..rows: step t = 0, 1, .. zeros - 1 swaps place t with place
//! `t + word mod (rows - t)`, the word being word `t mod 4` of block `64 c + t / 4`; the first `zeros` entries are picked.
//!
//! Beyond, row r is picked if its image under a permutation is below `zeros`: a Feistel network with cycle walking on
//! 0..rows, `2^(bits-1) < rows <= 2^bits`. An index is split into `left`, its upper `bits / 2` bits (rounded down), and
//! `right`, the others. Round i of twelve, with word `i mod 4` of block c for its key, is `left ^= F(right)` for even i
//! and `right ^= F(left)` for odd i, cut to the half's bits; `F(x) = mix(x + key + i * 0x9E3779B9)`, mix being
//! MurmurHash3's 32-bit finalizer. An image of `rows` or more goes through again.
//!
//! # orthogonal
//! For `m = max(rows, rest)` and `n = min(rows, rest)`, `rest` being the product of the trailing sizes, entry (i, j) of an
//! m by n matrix X is the standard normal value at index `i n + j` under `reflections32` (`reflections64`). Of column j
//! the entries from row j on are a vector x_j; `v_j = x_j + sign(x_jj) |x_j| e_j`, sign(0) = 1. With
//! `S = striu(V^T V) + diag(|x_j| (|x_j| + |x_jj|))` and `W = S^-1 V_top^T`, the matrix is
//! `Q[i][c] = (delta_ic - sum_k V[i][k] W[k][c]) * -sign(x_cc) * gain`, transposed if rows < rest. Each sum starts at 0 and
//! runs by fused multiply-adds in the type: |x_j|^2 and V^T V by row, ascending; Q by k, ascending. W is solved from its
//! last row up: row j starts at V_top^T, takes off `S[j][k] W[k]` from the last k down to j + 1, and is divided by `S[j][j]`.
//!
//! # constant, eye, dirac
//! Functions of the index.
//!
//! # Blocks
//! A plan in parts (`blocks`, `stacked`, `delta_orthogonal`, `orthogonal` by layout) gives each element the distribution of its part.
//! Values that come by index (uniform, normal, trunc_normal) come from their index in the **whole** tensor: so blocks of
//! one distribution have the bits of that distribution over the whole. What is drawn as a matrix (`sparse`, `orthogonal`) is the tensor of the
//! part's own shape whose name is the whole's with the part's suffix, as [`Block::suffix`](crate::Block::suffix) has it:
//! `[1]` for block 1, `[3][0]` for block 0 of tensor 3 of a stack, nothing where one matrix is all there is. Elements in no
//! part are 0.
//!
//! # Elementary functions
//! Logarithm, sine, cosine and quantile are the fixed polynomials of `src/math`, operation by operation.

use std::borrow::Cow;
use std::collections::HashMap;

use super::blocks::{Blocks, Recent};
use super::fill::{self, Region};
use super::sparse::{Sparse, Zeros};
use super::{Stream, check_method, check_region, check_whole, room};
use crate::distributions::GROUP_32;
use crate::dtype::{DType, Element, Values};
use crate::error::Error;
use crate::linalg::{reflections::Reflections, transpose};
use crate::plan::{Distribution, Plan};
#[cfg(feature = "rand_core")]
use crate::rng::GroupSource;
use crate::rng::Philox;
use crate::simd::Level;
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// A seed of the native stream. Each tensor has a stream of its own, told apart by name.
///
/// ```
/// use fanin::{Native, init};
/// let seed = Native::new(42);
/// let (mut a, mut b) = ([0f32; 8], [0f32; 8]);
/// init::normal(0.0, 1.0).fill(&mut a, &[8], &mut seed.tensor("layers.0.weight"))?;
/// init::normal(0.0, 1.0).fill(&mut b, &[8], &mut seed.tensor("layers.1.weight"))?;
/// assert_ne!(a, b);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Native {
    seed: u64,
    level: Option<Level>,
    threads: Threads,
}

impl Native {
    /// The version of the stream: a change of one bit is a new version.
    pub const VERSION: u32 = 1;

    /// The stream of a seed; every u64 is one.
    pub const fn new(seed: u64) -> Self {
        Self { seed, level: None, threads: Threads::Pool }
    }

    /// Computes at this CPU level (or at the best there is, if the CPU lacks it). The bits do not depend on it.
    #[must_use]
    pub const fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Computes on these threads. The bits do not depend on it.
    #[must_use]
    pub const fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// The stream of one tensor. Its name is stripped of wrappers by [`canonical_name`].
    ///
    /// Two tensors of one name get the same values: a [`Job`] refuses that.
    pub fn tensor(self, name: &str) -> NativeTensor {
        NativeTensor { native: self, name: canonical_name(name).into_owned() }
    }

    /// The streams of a job's tensors, each name once.
    pub fn job(self) -> Job {
        Job { native: self, names: HashMap::new() }
    }
}

/// Hands out the streams of a job's tensors, and refuses a name that it has handed out before.
#[derive(Debug, Clone)]
pub struct Job {
    native: Native,
    /// Canonical name to the spelling it came in.
    names: HashMap<String, String>,
}

impl Job {
    /// The stream of one tensor.
    ///
    /// # Errors
    /// `DuplicateName` if a tensor of the same canonical name has been asked for.
    pub fn tensor(&mut self, name: &str) -> Result<NativeTensor, Error> {
        let tensor = self.native.tensor(name);
        match self.names.insert(tensor.name.clone(), name.to_owned()) {
            None => Ok(tensor),
            Some(first) => {
                self.names.insert(tensor.name.clone(), first.clone());
                Err(Error::DuplicateName { name: tensor.name, first, second: name.to_owned() })
            }
        }
    }
}

/// A parameter's name without the path components that wrappers add.
///
/// The components `_orig_mod` (torch.compile), `_fsdp_wrapped_module` and `_checkpoint_wrapped_module` are dropped
/// wherever they stand before the last component, `module` (DataParallel, DistributedDataParallel) where it leads.
///
/// ```
/// # use fanin::canonical_name;
/// assert_eq!(canonical_name("module._orig_mod.h.0._fsdp_wrapped_module.attn.weight"), "h.0.attn.weight");
/// assert_eq!(canonical_name("encoder.module.weight"), "encoder.module.weight");
/// ```
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
    // All of these begin with an underscore, and most names have none there.
    if !name.starts_with("module.") && !name.starts_with('_') && !name.contains("._") {
        return Cow::Borrowed(name);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut components = name.split('.').peekable();
    while let Some(component) = components.next() {
        let last = components.peek().is_none();
        let wrapper = WRAPPERS.contains(&component) || (component == "module" && kept.is_empty());
        if last || !wrapper {
            kept.push(component);
        }
    }
    if kept.len() == name.split('.').count() { Cow::Borrowed(name) } else { Cow::Owned(kept.join(".")) }
}

/// The native stream of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NativeTensor {
    pub(super) native: Native,
    pub(super) name: String,
}

impl NativeTensor {
    /// The canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn engine(&self, purpose: &str) -> Philox {
        // All at once: a hasher that takes them one by one begins with two kilobytes of its own.
        let parts = [
            b"fanin native stream",
            &Native::VERSION.to_le_bytes()[..],
            &(purpose.len() as u32).to_le_bytes(),
            purpose.as_bytes(),
            &self.native.seed.to_le_bytes(),
            &(self.name.len() as u64).to_le_bytes(),
            self.name.as_bytes(),
        ];
        // So many bytes have room where nothing is to be asked for.
        let mut short = [0; 128];
        let length = parts.iter().map(|part| part.len()).sum();
        let hash = match short.get_mut(..length) {
            Some(message) => {
                let mut rest = &mut *message;
                for part in parts {
                    let (now, later) = rest.split_at_mut(part.len());
                    now.copy_from_slice(part);
                    rest = later;
                }
                blake3::hash(message)
            }
            None => blake3::hash(&parts.concat()),
        };
        let mut words = [0u32; 4];
        for (word, bytes) in words.iter_mut().zip(hash.as_bytes().as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Philox::new([words[0], words[1]], [words[2], words[3]])
    }

    /// All that the boxes of one plan have in common, computed once. For `orthogonal` that is the factorization, whose
    /// memory is twice the matrix; for the rest it is nothing much.
    ///
    /// # Errors
    /// `Method` if the plan asks for a truncated normal by rejection, which has no random access; `Memory` if there is
    /// less than an orthogonal plan needs.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> {
        check_method(plan, "native")?;
        let level = self.native.level.unwrap_or_else(Level::best);
        let double = plan.dtype() == DType::F64;
        let drawn = match plan.distribution() {
            Distribution::Orthogonal { gain } if !plan.is_empty() => {
                let (rows, columns) = plan.matrix();
                let short = rows.min(columns) as u128;
                // The vectors, the products of any two, and the factor.
                room(plan, rows as u128 * columns as u128 + 2 * short * short)?;
                let engine = self.engine(if double { "reflections64" } else { "reflections32" });
                let threads = self.native.threads;
                Drawn::reflections(plan, gain, level, threads, |out| {
                    fill::lower_normal_on(threads, level, engine, rows.min(columns), out);
                })
            }
            distribution => {
                let values = self.engine(if double { "values64" } else { "values32" });
                match distribution {
                    Distribution::Blocks { .. } => Drawn::Blocks(Box::new(Blocks {
                        tensor: self.clone(),
                        values,
                        recent: Recent::default(),
                    })),
                    Distribution::Sparse { zeros, std } => {
                        let (rows, columns) = plan.matrix();
                        let (threads, permutation) = (self.native.threads, self.engine("permutation"));
                        let zeros = Zeros { threads, level, permutation, rows, zeros };
                        Drawn::Sparse(Sparse { zeros, values, columns, std })
                    }
                    _ => Drawn::ByIndex(values),
                }
            }
        };
        Ok(Prepared { plan: plan.clone(), level, threads: self.native.threads, drawn })
    }
}

/// A plan on the stream of one tensor, ready to fill any boxes of it.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) plan: Plan,
    pub(super) level: Level,
    pub(super) threads: Threads,
    drawn: Drawn,
}

#[derive(Debug, Clone)]
enum Drawn {
    ByIndex(Philox),
    Sparse(Sparse),
    Blocks(Box<Blocks>),
    Orthogonal32(Reflections<f32>, f32),
    Orthogonal64(Reflections<f64>, f64),
}

impl Drawn {
    /// The reflections of Gaussian vectors that `draw` writes to zeros, on and below the diagonal.
    fn reflections(
        plan: &Plan,
        gain: f64,
        level: Level,
        threads: Threads,
        draw: impl FnOnce(Values<'_>),
    ) -> Self {
        let (rows, columns) = plan.matrix();
        let (long, short) = (rows.max(columns), rows.min(columns));
        let count = long * short;
        if plan.dtype() == DType::F64 {
            let mut gaussian = vec![0f64; count];
            draw(Values::F64(&mut gaussian));
            Drawn::Orthogonal64(Reflections::new(gaussian, short, level, threads), gain)
        } else {
            let mut gaussian = vec![0f32; count];
            draw(Values::F32(&mut gaussian));
            Drawn::Orthogonal32(Reflections::new(gaussian, short, level, threads), gain as f32)
        }
    }
}

impl Prepared {
    #[cfg(feature = "rand_core")]
    /// An orthogonal plan whose Gaussian vectors are drawn from `source`.
    pub(super) fn orthogonal_from(plan: &Plan, gain: f64, level: Level, source: impl GroupSource) -> Self {
        let threads = Threads::One;
        let (rows, columns) = plan.matrix();
        let drawn = Drawn::reflections(plan, gain, level, threads, |out| {
            fill::lower_normal(level, source, rows.min(columns), out);
        });
        Self { plan: plan.clone(), level, threads, drawn }
    }

    /// Writes the box that begins at the index `start` and has the shape of `tensor`.
    ///
    /// # Errors
    /// `Box` if it does not lie in the plan's shape, `ElementType` if the memory is of another type.
    pub fn fill_region(&self, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(&self.plan, start, &tensor)?;
        if tensor.is_empty() || fill::fixed(self.threads, &self.plan, start, &mut tensor) {
            return Ok(());
        }
        if let Drawn::Blocks(parts) = &self.drawn {
            return parts.fill_region(self, start, tensor);
        }
        if let Drawn::ByIndex(values) = self.drawn
            && !tensor.is_contiguous()
        {
            self.write_tiles(values, start, tensor);
        } else {
            let region = Region::new(self.plan.shape(), start, tensor.shape());
            tensor.write_in(Order::Index, |memory| self.write(&region, memory));
        }
        Ok(())
    }

    /// Fills strided memory with what is drawn by index, by boxes that stay in the nearest caches: slabs that lie apart in
    /// memory, for the threads, and of each some rows at a time.
    fn write_tiles(&self, values: Philox, start: &[usize], tensor: TensorMut<'_>) {
        /// Values of a tile.
        const TILE: usize = 1 << 13;
        let last = start.len() - 1;
        // A slab of the last axis cuts all rows: where it has whole groups, none is made twice.
        let length = |axis: usize, each: usize| {
            let length = TILE.div_ceil(each);
            if axis == last { length.next_multiple_of(GROUP_32) } else { length }
        };
        let Some((axis, slabs)) = tensor.slabs(length) else { return };
        // Threads that share the slabs are not called again from inside of one.
        let inside = if slabs.len() > 1 { Threads::One } else { self.threads };
        self.threads.in_turn(slabs, |(begin, mut slab): (usize, TensorMut<'_>)| {
            let mut start = start.to_vec();
            start[axis] += begin;
            let mut size = slab.shape().to_vec();
            let all = size[0];
            let step = (TILE / (slab.len() / all)).clamp(1, all);
            let top = start[0];
            for first in (0..all).step_by(step) {
                size[0] = step.min(all - first);
                start[0] = top + first;
                let region = Region::new(self.plan.shape(), &start, &size);
                slab.write_rows(first..first + size[0], |copy| {
                    fill::by_index_on(inside, self.level, self.plan.distribution(), values, &region, copy);
                });
            }
        });
    }

    fn write(&self, region: &Region, out: Values<'_>) {
        match &self.drawn {
            Drawn::ByIndex(values) => {
                fill::by_index_on(self.threads, self.level, self.plan.distribution(), *values, region, out);
            }
            Drawn::Sparse(sparse) => sparse.fill(region, out),
            Drawn::Blocks(_) => unreachable!("parts are filled one by one"),
            Drawn::Orthogonal32(reflections, gain) => match out {
                Values::F32(out) => self.orthogonal(reflections, *gain, region, out),
                Values::F16(out) => self.orthogonal(reflections, *gain, region, out),
                Values::BF16(out) => self.orthogonal(reflections, *gain, region, out),
                Values::F8E4M3(out) => self.orthogonal(reflections, *gain, region, out),
                Values::F8E5M2(out) => self.orthogonal(reflections, *gain, region, out),
                Values::F64(_) => unreachable!("the plan's type was checked"),
            },
            Drawn::Orthogonal64(reflections, gain) => {
                let Values::F64(out) = out else { unreachable!("the plan's type was checked") };
                self.orthogonal(reflections, *gain, region, out);
            }
        }
    }

    /// Writes a box of the flattened matrix, a band of rows at a time: straight to its place, where the memory is of the
    /// arithmetic's type.
    fn orthogonal<T: crate::linalg::Real, E: Element>(
        &self,
        reflections: &Reflections<T>,
        gain: T,
        region: &Region,
        out: &mut [E],
    ) {
        const BAND: usize = 384;
        let (rows, columns) = self.plan.matrix();
        let wide = rows < columns;
        let runs = region.row_runs(columns);
        let left = runs.iter().map(|run| run.0).min().unwrap_or(0);
        let right = runs.iter().map(|run| run.0 + run.1).max().unwrap_or(0);
        let (width, row_length) = (right - left, runs.iter().map(|run| run.1).sum::<usize>());
        let bands: Vec<_> = out.chunks_mut((BAND * row_length).max(1)).enumerate().collect();
        // The last rows have the longest sums.
        self.threads.in_turn(bands.into_iter().rev().collect(), |(number, out): (usize, &mut [E])| {
            let top = region.axes[0].start + number * BAND;
            let band = top..top + out.len() / row_length;
            if !wide
                && runs.len() == 1
                && let Some(out) = T::memory(E::values(&mut *out))
            {
                return reflections.part(band, left..right, gain, out);
            }
            let mut part = vec![T::default(); band.len() * width];
            // The wide matrix is the transpose of the tall one.
            if wide {
                let mut tall = vec![T::default(); part.len()];
                reflections.part(left..right, band.clone(), gain, &mut tall);
                transpose(&tall, band.len(), &mut part, width);
            } else {
                reflections.part(band, left..right, gain, &mut part);
            }
            for (line, mut out) in part.chunks_exact(width).zip(out.chunks_exact_mut(row_length)) {
                for &(start, length) in &runs {
                    let (now, later) = out.split_at_mut(length);
                    T::store(&line[start - left..][..length], now);
                    out = later;
                }
            }
        });
    }
}

impl Stream for NativeTensor {
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        self.fill_region(plan, &vec![0; plan.shape().len()], tensor)
    }

    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        if tensor.is_empty() {
            return Ok(());
        }
        self.prepare(plan)?.fill_region(start, tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stripped_of_wrappers_only() {
        for (name, canonical) in [
            ("", ""),
            ("weight", "weight"),
            ("module", "module"),
            ("module.module.weight", "weight"),
            ("_orig_mod.module.weight", "weight"),
            ("a._checkpoint_wrapped_module.b", "a.b"),
            ("modules.weight", "modules.weight"),
            ("a._orig_mod", "a._orig_mod"),
        ] {
            assert_eq!(canonical_name(name), canonical);
        }
    }

    #[test]
    fn a_job_refuses_a_name_twice() {
        let mut job = Native::new(0).job();
        job.tensor("a.weight").unwrap();
        job.tensor("b.weight").unwrap();
        for _ in 0..2 {
            let error = job.tensor("module.a.weight").unwrap_err();
            assert!(
                matches!(error, Error::DuplicateName { ref first, .. } if first == "a.weight"),
                "{error}"
            );
        }
    }

    #[test]
    fn seeds_names_and_purposes_all_matter() {
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, 1 << 32, u64::MAX] {
            for name in ["", "a", "b", "ab", "a\0"] {
                for purpose in ["values32", "values64", "permutation"] {
                    assert!(seen.insert(Native::new(seed).tensor(name).engine(purpose).block(0)));
                }
            }
        }
    }
}
