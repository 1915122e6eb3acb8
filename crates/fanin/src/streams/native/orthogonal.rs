//! Orthogonal matrices on the native stream, computed from Householder reflections.

use crate::dtype::{DType, Element, Values};
use crate::linalg::reflections::Reflections;
use crate::linalg::{real::Real, transpose::transpose};
use crate::plan::Plan;
use crate::region::Region;
use crate::simd::Level;
use crate::threads::Threads;

/// An orthogonal matrix, stored as Householder reflections. Any region of the matrix can be computed from the
/// reflections.
///
/// The arithmetic is f64 for an f64 plan, and f32 for any other plan. If the matrix has fewer rows than columns, the
/// reflections define the transpose of the matrix.
#[derive(Debug, Clone)]
pub(super) struct Orthogonal {
    /// The number of rows and the number of columns of the matrix.
    shape: (usize, usize),
    threads: Threads,
    reflections: Precision,
}

/// The reflections and the gain, in the type of the arithmetic.
#[derive(Debug, Clone)]
enum Precision {
    F32(Reflections<f32>, f32),
    F64(Reflections<f64>, f64),
}

impl Orthogonal {
    /// Computes the reflections from a Gaussian matrix with `max(rows, columns)` rows and `min(rows, columns)` columns.
    /// `draw` gets the row-major memory of this matrix, filled with zeros. `draw` must write the entries on and below
    /// the diagonal. The entries above the diagonal must still be zero afterwards.
    pub(super) fn new(
        plan: &Plan,
        gain: f64,
        level: Level,
        threads: Threads,
        draw: impl FnOnce(Values<'_>),
    ) -> Self {
        let (rows, columns) = plan.matrix();
        let short = rows.min(columns);
        let reflections = if plan.dtype() == DType::F64 {
            let mut gaussian = vec![0f64; rows * columns];
            draw(Values::F64(&mut gaussian));
            Precision::F64(Reflections::new(gaussian, short, level, threads), gain)
        } else {
            let mut gaussian = vec![0f32; rows * columns];
            draw(Values::F32(&mut gaussian));
            Precision::F32(Reflections::new(gaussian, short, level, threads), gain as f32)
        };
        Self { shape: (rows, columns), threads, reflections }
    }

    /// Fills `out`, the row-major memory of `region`. The first axis of `region` selects rows of the matrix. The other
    /// axes, flattened, select columns.
    pub(super) fn fill(&self, region: &Region, out: Values<'_>) {
        match &self.reflections {
            Precision::F32(reflections, gain) => match out {
                Values::F32(out) => self.write(reflections, *gain, region, out),
                Values::F16(out) => self.write(reflections, *gain, region, out),
                Values::BF16(out) => self.write(reflections, *gain, region, out),
                Values::F8E4M3(out) => self.write(reflections, *gain, region, out),
                Values::F8E5M2(out) => self.write(reflections, *gain, region, out),
                Values::F64(_) => unreachable!("the memory has the plan's type"),
            },
            Precision::F64(reflections, gain) => {
                let Values::F64(out) = out else { unreachable!("the memory has the plan's type") };
                self.write(reflections, *gain, region, out);
            }
        }
    }

    /// Computes the values of `region` in bands of rows, and writes them to `out`. Several bands are computed in
    /// parallel.
    fn write<T: Real, E: Element>(
        &self,
        reflections: &Reflections<T>,
        gain: T,
        region: &Region,
        out: &mut [E],
    ) {
        const BAND: usize = 384;
        let wide = self.shape.0 < self.shape.1;
        let runs = region.runs_of_row();
        let left = runs.iter().map(|run| run.start).min().unwrap_or(0);
        let right = runs.iter().map(|run| run.end).max().unwrap_or(0);
        let (width, row_length) = (right - left, runs.iter().map(ExactSizeIterator::len).sum::<usize>());
        let bands: Vec<_> = out.chunks_mut((BAND * row_length).max(1)).enumerate().collect();
        // The last band is started first, because its sums have the most terms.
        self.threads.for_each(bands.into_iter().rev().collect(), |(number, out): (usize, &mut [E])| {
            let top = region.axes()[0].start + number * BAND;
            let band = top..top + out.len() / row_length;
            if !wide
                && runs.len() == 1
                && let Some(out) = T::memory(E::values(&mut *out))
            {
                // The memory of the band is contiguous and has the type of the arithmetic, so no copy is needed.
                return reflections.part(band, left..right, gain, out);
            }
            let mut block = vec![T::default(); band.len() * width];
            if wide {
                let mut transposed = vec![T::default(); block.len()];
                reflections.part(left..right, band.clone(), gain, &mut transposed);
                transpose(&transposed, band.len(), &mut block, width);
            } else {
                reflections.part(band, left..right, gain, &mut block);
            }
            for (line, mut out) in block.chunks_exact(width).zip(out.chunks_exact_mut(row_length)) {
                for run in &runs {
                    let (now, later) = out.split_at_mut(run.len());
                    T::store(&line[run.start - left..][..run.len()], now);
                    out = later;
                }
            }
        });
    }
}
