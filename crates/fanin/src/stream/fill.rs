//! Boxes of a tensor, and the loops that fill them by index.

use crate::dist::normal::{Normal32, Normal64};
use crate::dist::truncated::{Truncated, Visitor32, Visitor64};
use crate::dist::uniform::{Uniform32, Uniform64};
use crate::dist::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::element::{Element, Values, values};
use crate::engine::{FEW, LANES, Permutation, Philox, Source, few};
use crate::plan::{Law, Plan};
use crate::simd::{Kernel, Level, dispatch};
use crate::tensor::{Order, TensorMut};

/// A box of a larger tensor, cut into runs of consecutive global indices.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) start: Vec<usize>,
    pub(super) size: Vec<usize>,
    shape: Vec<usize>,
    /// Global row-major stride of each axis.
    strides: Vec<u64>,
    /// Axes before this one are stepped through; this one and those after it lie in one run.
    outer: usize,
    run: usize,
}

impl Region {
    pub(super) fn new(shape: &[usize], start: &[usize], size: &[usize]) -> Self {
        let mut strides = vec![1u64; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as u64;
        }
        let mut outer = shape.len();
        while outer > 0 {
            outer -= 1;
            if size[outer] != shape[outer] {
                break;
            }
        }
        let run = size[outer..].iter().product();
        Self { start: start.to_vec(), size: size.to_vec(), shape: shape.to_vec(), strides, outer, run }
    }

    /// The whole of a tensor.
    pub(super) fn whole(shape: &[usize]) -> Self {
        Self::new(shape, &vec![0; shape.len()], shape)
    }

    /// (first global index, length) of each run, in row-major order.
    pub(super) fn runs(&self) -> Runs<'_> {
        let count = if self.run == 0 { 0 } else { self.size[..self.outer].iter().product() };
        let first = self.start.iter().zip(&self.strides).map(|(&at, &stride)| at as u64 * stride).sum();
        Runs { region: self, index: vec![0; self.outer], next: first, left: count }
    }

    /// The runs of one row of the matrix that has the first axis for rows: (first column, length).
    pub(super) fn row_runs(&self, columns: usize) -> Vec<(usize, usize)> {
        let row = Region::new(&self.shape[1..], &self.start[1..], &self.size[1..]);
        debug_assert!(row.shape.iter().product::<usize>() == columns);
        row.runs().map(|(first, length)| (first as usize, length)).collect()
    }
}

/// Iterator over the runs of a [`Region`].
#[derive(Debug, Clone)]
pub(super) struct Runs<'a> {
    region: &'a Region,
    index: Vec<usize>,
    next: u64,
    left: usize,
}

impl Iterator for Runs<'_> {
    type Item = (u64, usize);

    #[inline]
    fn next(&mut self) -> Option<(u64, usize)> {
        self.left = self.left.checked_sub(1)?;
        let first = self.next;
        for axis in (0..self.index.len()).rev() {
            self.index[axis] += 1;
            self.next += self.region.strides[axis];
            if self.index[axis] < self.region.size[axis] {
                break;
            }
            self.next -= self.region.strides[axis] * self.region.size[axis] as u64;
            self.index[axis] = 0;
        }
        Some((first, self.region.run))
    }
}

/// Writes a law that draws nothing; `false` if this one draws.
pub(super) fn fixed(plan: &Plan, start: &[usize], tensor: &mut TensorMut<'_>) -> bool {
    let background = match plan.law() {
        Law::Constant { value } => value,
        Law::Eye | Law::Dirac { .. } => 0.0,
        _ => return false,
    };
    let size = tensor.shape().to_vec();
    let covered = tensor.covers_buffer();
    let (memory, places) = tensor.places(Order::Memory);
    values!(memory, memory => {
        let value = Element::from_f64(background);
        if covered {
            memory.fill(value);
        } else {
            places.for_each(|place| memory[place] = value);
        }
    });
    for index in plan.ones() {
        let inside =
            (0..size.len()).all(|axis| (start[axis]..start[axis] + size[axis]).contains(&index[axis]));
        if inside {
            let local: Vec<usize> = index.iter().zip(start).map(|(&at, &start)| at - start).collect();
            let (memory, place) = tensor.place(&local);
            values!(memory, memory => memory[place] = Element::from_f64(1.0));
        }
    }
    true
}

/// Standard normal values for a whole slice.
pub(super) fn standard_normal(level: Level, source: impl Source, out: Values<'_>) {
    let law = Law::Normal { mean: 0.0, std: 1.0 };
    by_index(level, law, source, &Region::whole(&[out.len()]), out);
}

/// Fills row-major memory with a box of a law whose values come from groups of words.
///
/// For `sparse` these are the values without the zeros; `orthogonal` and the fixed laws have no place here.
pub(super) fn by_index(level: Level, law: Law, source: impl Source, region: &Region, out: Values<'_>) {
    match out {
        Values::F32(out) => by_index_32(level, law, source, region, out),
        Values::F16(out) => by_index_32(level, law, source, region, out),
        Values::BF16(out) => by_index_32(level, law, source, region, out),
        Values::F64(out) => {
            let fill = Fill { source, region, out, level };
            match law {
                Law::Uniform { low, high } if low == high => fill.out.fill(low),
                Law::Uniform { low, high } => fill.visit64(Uniform64::new(low, high)),
                Law::Normal { mean, std } => fill.visit64(Normal64::new(mean, std)),
                Law::Sparse { std, .. } => fill.visit64(Normal64::new(0.0, std)),
                Law::TruncatedNormal { mean, std, low, high, .. } => {
                    Truncated::new(mean, std, low, high, f64::DTYPE).visit64(fill);
                }
                _ => unreachable!("{law:?} is not drawn by index"),
            }
        }
    }
}

fn by_index_32<E: Element>(level: Level, law: Law, source: impl Source, region: &Region, out: &mut [E]) {
    let fill = Fill { source, region, out, level };
    match law {
        Law::Uniform { low, high } if low == high => fill.out.fill(E::from_f64(low)),
        Law::Uniform { low, high } => fill.visit32(Uniform32::new(low, high, E::DTYPE)),
        Law::Normal { mean, std } => fill.visit32(Normal32::new(mean, std)),
        Law::Sparse { std, .. } => fill.visit32(Normal32::new(0.0, std)),
        Law::TruncatedNormal { mean, std, low, high, .. } => {
            Truncated::new(mean, std, low, high, E::DTYPE).visit32(E::DTYPE, fill);
        }
        _ => unreachable!("{law:?} is not drawn by index"),
    }
}

/// A fill that waits for its law.
struct Fill<'a, S, E> {
    source: S,
    region: &'a Region,
    out: &'a mut [E],
    level: Level,
}

impl<S: Source, E: Element> Visitor32 for Fill<'_, S, E> {
    type Output = ();

    fn visit32(self, transform: impl Transform32) {
        dispatch(self.level, Fill32 { fill: self, transform });
    }
}

impl<S: Source> Visitor64 for Fill<'_, S, f64> {
    type Output = ();

    fn visit64(self, transform: impl Transform64) {
        dispatch(self.level, Fill64 { fill: self, transform });
    }
}

struct Fill32<'a, S, E, T> {
    fill: Fill<'a, S, E>,
    transform: T,
}

impl<S: Source, E: Element, T: Transform32> Kernel for Fill32<'_, S, E, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Fill { mut source, region, mut out, .. } = self.fill;
        let mut values = [0f32; GROUP_32];
        let mut made = None;
        for (first, length) in region.runs() {
            let (mut now, rest) = std::mem::take(&mut out).split_at_mut(length);
            out = rest;
            let mut group = first / GROUP_32 as u64;
            let mut offset = (first % GROUP_32 as u64) as usize;
            while !now.is_empty() {
                if made != Some(group) {
                    self.transform.apply(&source.words(group), &mut values);
                    made = Some(group);
                }
                let take = now.len().min(GROUP_32 - offset);
                let (part, later) = now.split_at_mut(take);
                if take == GROUP_32 {
                    E::store(&values, part);
                } else {
                    E::store(&values[offset..offset + take], part);
                }
                now = later;
                offset = 0;
                group += 1;
            }
        }
    }
}

struct Fill64<'a, S, T> {
    fill: Fill<'a, S, f64>,
    transform: T,
}

impl<S: Source, T: Transform64> Kernel for Fill64<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Fill { mut source, region, mut out, .. } = self.fill;
        let mut values = [0f64; GROUP_64];
        let mut made = None;
        for (first, length) in region.runs() {
            let (mut now, rest) = std::mem::take(&mut out).split_at_mut(length);
            out = rest;
            let mut group = first / GROUP_64 as u64;
            let mut offset = (first % GROUP_64 as u64) as usize;
            while !now.is_empty() {
                if made != Some(group) {
                    self.transform.apply(&source.words(group), &mut values);
                    made = Some(group);
                }
                let take = now.len().min(GROUP_64 - offset);
                let (part, later) = now.split_at_mut(take);
                part.copy_from_slice(&values[offset..offset + take]);
                now = later;
                offset = 0;
                group += 1;
            }
        }
    }
}

/// Writes the zeros of `sparse` into a box of a matrix with so many rows.
pub(super) fn punch(
    level: Level,
    engine: Philox,
    rows: usize,
    zeros: usize,
    region: &Region,
    out: Values<'_>,
) {
    values!(out, out => dispatch(level, Punch { engine, rows, zeros, region, out }));
}

struct Punch<'a, E> {
    engine: Philox,
    rows: usize,
    zeros: usize,
    region: &'a Region,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Punch<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        if self.rows <= FEW { self.few() } else { self.many() }
    }
}

impl<E: Element> Punch<'_, E> {
    fn few(&mut self) {
        let (height, width) = (self.region.size[0], self.region.size[1]);
        for column in 0..width {
            let global = (self.region.start[1] + column) as u64;
            let picked = few(&self.engine, global, self.rows, self.zeros);
            for row in 0..height {
                if picked[self.region.start[0] + row] {
                    self.out[row * width + column] = E::default();
                }
            }
        }
    }

    #[inline(always)]
    fn many(&mut self) {
        let permutation = Permutation::new(self.rows as u64);
        let (height, width) = (self.region.size[0], self.region.size[1]);
        // The keys of sixteen columns are the words of sixteen blocks.
        for left in (0..width).step_by(LANES) {
            let lanes = LANES.min(width - left);
            let mut keys = [[0u32; LANES]; 4];
            for lane in 0..lanes {
                let block = self.engine.block((self.region.start[1] + left + lane) as u64);
                for word in 0..4 {
                    keys[word][lane] = block[word];
                }
            }
            for row in 0..height {
                let row_index = (self.region.start[0] + row) as u64;
                let zero = permutation.below(row_index, self.zeros as u64, &keys);
                for (value, zero) in self.out[row * width + left..][..lanes].iter_mut().zip(zero) {
                    if zero {
                        *value = E::default();
                    }
                }
            }
        }
    }
}
