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
//! # Values
//! Sixteen blocks make a **group**. An f32 value takes one word: the value at index i is in group `i / 64`; with
//! `o = i mod 64` it comes from word `o / 16` of block `16 (i / 64) + o mod 16`. An f64 value takes two: group
//! `i / 32`, `o = i mod 32`, words `2 (o / 16)` (high) and `2 (o / 16) + 1` (low) of block `16 (i / 32) + o mod 16`.
//! f16 and bf16 are the f32 value at the same index, rounded once to nearest, ties to even; bounds are first tightened
//! to what the type can hold, so that rounding cannot pass them.
//!
//! With w a word, `s(w)` the same bits as a signed integer, and every step rounded in the type:
//!
//! | law | f32 | f64, from `W = high * 2^32 + low` |
//! |---|---|---|
//! | uniform | `fma(s(w), (b - a) / 2^32, (a + b) / 2)`, held to [least, greatest] | the same with `s(W)`, 2^64 |
//! | normal | words 2k, 2k+1 of a block are a radius and an angle: `r = sqrt(-2 ln((w + 1/2) / 2^32))`, `t = 2 pi (w' + 1/2) / 2^32`; `r cos t` is the value of word 2k, `r sin t` that of word 2k+1; then `fma(z, std, mean)` | radius from words 0, 1, angle from words 2, 3, each `(W + 1/2) / 2^64`; cosine first |
//! | trunc_normal | one word: the inverse distribution function at `(w + 1/2) / 2^32`, as `dist/truncated.rs` writes it down | two words |
//! | sparse | normal, and 0 at the `zeros` places of column c that `engine/permutation.rs` picks | the same |
//! | orthogonal | `linalg/reflections.rs`: Gaussian matrix of max(rows, columns) by min(rows, columns), entry (i, j) the normal value at index `i * min + j` under `reflections32`; transposed if rows < columns | the same under `reflections64` |
//! | constant, eye, dirac | functions of the index | the same |
//!
//! The places of `sparse` come from the words under `permutation`.
//! Logarithm, sine, cosine and quantile are the fixed polynomials of `math.rs`, operation by operation.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fill::{self, Region};
use super::{Stream, check_box, check_method, check_whole};
use crate::element::{DType, Element, Values};
use crate::engine::{Philox, Source};
use crate::error::Error;
use crate::linalg::reflections::Reflections;
use crate::plan::{Law, Plan};
use crate::simd::Level;
use crate::tensor::{Order, TensorMut};

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
}

impl Native {
    /// The version of the stream: a change of one bit is a new version.
    pub const VERSION: u32 = 1;

    /// The stream of a seed; every u64 is one.
    pub const fn new(seed: u64) -> Self {
        Self { seed, level: None }
    }

    /// Computes at this CPU level (or at the best there is, if the CPU lacks it). The bits do not depend on it.
    #[must_use]
    pub const fn with_level(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
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
    native: Native,
    name: String,
}

impl NativeTensor {
    /// The canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn engine(&self, purpose: &str) -> Philox {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fanin native stream");
        hasher.update(&Native::VERSION.to_le_bytes());
        hasher.update(&(purpose.len() as u32).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(&self.native.seed.to_le_bytes());
        hasher.update(&(self.name.len() as u64).to_le_bytes());
        hasher.update(self.name.as_bytes());
        let mut words = [0u32; 4];
        for (word, bytes) in words.iter_mut().zip(hasher.finalize().as_bytes().as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Philox::new([words[0], words[1]], [words[2], words[3]])
    }

    /// All that the boxes of one plan have in common, computed once. For `orthogonal` that is the factorization, whose
    /// memory is twice the matrix; for the rest it is nothing much.
    ///
    /// # Errors
    /// `Method` if the plan asks for a truncated normal by rejection, which has no random access.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> {
        check_method(plan, "native")?;
        let level = self.native.level.unwrap_or_else(Level::best);
        let double = plan.dtype() == DType::F64;
        let drawn = match plan.law() {
            Law::Orthogonal { gain } if !plan.is_empty() => {
                let engine = self.engine(if double { "reflections64" } else { "reflections32" });
                Drawn::reflections(plan, gain, level, engine)
            }
            _ => Drawn::ByIndex {
                values: self.engine(if double { "values64" } else { "values32" }),
                permutation: self.engine("permutation"),
            },
        };
        Ok(Prepared { plan: plan.clone(), level, drawn })
    }
}

/// A plan on the stream of one tensor, ready to fill any boxes of it.
#[derive(Debug, Clone)]
pub struct Prepared {
    plan: Plan,
    level: Level,
    drawn: Drawn,
}

#[derive(Debug, Clone)]
enum Drawn {
    ByIndex { values: Philox, permutation: Philox },
    Orthogonal32(Reflections<f32>, f32),
    Orthogonal64(Reflections<f64>, f64),
}

impl Drawn {
    /// The reflections of Gaussian vectors drawn from `source`.
    fn reflections(plan: &Plan, gain: f64, level: Level, source: impl Source) -> Self {
        let (rows, columns) = plan.matrix();
        let (long, short) = (rows.max(columns), rows.min(columns));
        let count = long * short;
        if plan.dtype() == DType::F64 {
            let mut gaussian = vec![0f64; count];
            fill::standard_normal(level, source, Values::F64(&mut gaussian));
            Drawn::Orthogonal64(Reflections::new(gaussian, short, level), gain)
        } else {
            let mut gaussian = vec![0f32; count];
            fill::standard_normal(level, source, Values::F32(&mut gaussian));
            Drawn::Orthogonal32(Reflections::new(gaussian, short, level), gain as f32)
        }
    }
}

impl Prepared {
    #[cfg(feature = "rand_core")]
    /// An orthogonal plan whose Gaussian vectors are drawn from `source`.
    pub(super) fn orthogonal_from(plan: &Plan, gain: f64, level: Level, source: impl Source) -> Self {
        Self { plan: plan.clone(), level, drawn: Drawn::reflections(plan, gain, level, source) }
    }

    /// Writes the box that begins at the index `start` and has the shape of `tensor`.
    ///
    /// # Errors
    /// `Box` if it does not lie in the plan's shape, `ElementType` if the memory is of another type.
    pub fn fill_box(&self, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_box(&self.plan, start, &tensor)?;
        if tensor.is_empty() || fill::fixed(&self.plan, start, &mut tensor) {
            return Ok(());
        }
        let size = tensor.shape().to_vec();
        let region = Region::new(self.plan.shape(), start, &size);
        tensor.write_in(Order::Index, |memory| self.write(&region, memory));
        Ok(())
    }

    fn write(&self, region: &Region, mut out: Values<'_>) {
        match &self.drawn {
            Drawn::ByIndex { values, permutation } => {
                fill::by_index(self.level, self.plan.law(), *values, region, out.reborrow());
                if let Law::Sparse { zeros, .. } = self.plan.law() {
                    fill::punch(self.level, *permutation, self.plan.matrix().0, zeros, region, out);
                }
            }
            Drawn::Orthogonal32(reflections, gain) => match out {
                Values::F32(out) => self.orthogonal(reflections, *gain, region, |at, part| {
                    out[at..at + part.len()].copy_from_slice(part);
                }),
                Values::F16(out) => self.orthogonal(reflections, *gain, region, |at, part| {
                    Element::store(part, &mut out[at..at + part.len()]);
                }),
                Values::BF16(out) => self.orthogonal(reflections, *gain, region, |at, part| {
                    Element::store(part, &mut out[at..at + part.len()]);
                }),
                Values::F64(_) => unreachable!("the plan's type was checked"),
            },
            Drawn::Orthogonal64(reflections, gain) => {
                let Values::F64(out) = out else { unreachable!("the plan's type was checked") };
                self.orthogonal(reflections, *gain, region, |at, part| {
                    out[at..at + part.len()].copy_from_slice(part);
                });
            }
        }
    }

    /// Writes stretches of equal first index, each a stretch of one row of the flattened matrix, a band of rows at a
    /// time.
    fn orthogonal<T: crate::linalg::Real>(
        &self,
        reflections: &Reflections<T>,
        gain: T,
        region: &Region,
        mut write: impl FnMut(usize, &[T]),
    ) {
        const BAND: usize = 256;
        let (rows, columns) = self.plan.matrix();
        let first_row = region.start[0];
        let runs = region.row_runs(columns);
        let height = region.size[0];
        let left = runs.iter().map(|run| run.0).min().unwrap_or(0);
        let right = runs.iter().map(|run| run.0 + run.1).max().unwrap_or(0);
        let row_length: usize = runs.iter().map(|run| run.1).sum();
        for top in (0..height).step_by(BAND) {
            let band = first_row + top..first_row + height.min(top + BAND);
            let width = right - left;
            // The wide matrix is the transpose of the tall one.
            let wide = rows < columns;
            let part = if wide {
                reflections.part(left..right, band.clone(), gain)
            } else {
                reflections.part(band.clone(), left..right, gain)
            };
            let mut line = vec![T::default(); width];
            for row in 0..band.len() {
                let line = if wide {
                    for (column, value) in line.iter_mut().enumerate() {
                        *value = part[column * band.len() + row];
                    }
                    &line[..]
                } else {
                    &part[row * width..][..width]
                };
                let mut at = (top + row) * row_length;
                for &(start, length) in &runs {
                    write(at, &line[start - left..][..length]);
                    at += length;
                }
            }
        }
    }
}

impl Stream for NativeTensor {
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        self.fill_box(plan, &vec![0; plan.shape().len()], tensor)
    }

    fn fill_box(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_box(plan, start, &tensor)?;
        if tensor.is_empty() {
            return Ok(());
        }
        self.prepare(plan)?.fill_box(start, tensor)
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
