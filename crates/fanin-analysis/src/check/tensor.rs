//! Tests of one tensor, or of one block of a fused parameter, against its plan. The distribution of the plan decides
//! which tests are made.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hasher as _};

use fanin::region::Chunks;
use fanin::{DType, Distribution, Functions, Native, Plan};
use fanin_checkpoint::Progress;
use fanin_checkpoint::decode;
use fanin_recipe::text::counted;

use super::generate::{CHUNK, generate, report_read};
use super::grid;
use super::mismatch::Mismatch;
use super::orthogonal::{self, EntryStatistics};
use super::reference::{ReferenceCache, ReferenceDistribution};
use super::repeats::{Repeat, RepeatSearch};
use super::sample::SampleStatistics;
use super::tensor_view::TensorView;
use super::test_result::TestResult;
use crate::error::{Error, Result};

/// The results of testing a view of a tensor.
#[derive(Debug, Default)]
pub(crate) struct ViewTests {
    /// The results of the tests.
    pub(crate) results: Vec<TestResult>,
    /// A hash of the values, or `None` if they are not random. Tensors with the same hash have the same values.
    pub(crate) hash: Option<u64>,
    /// The result of [`SampleStatistics::variance_excess`], or `None` if the values are not independent.
    pub(crate) variance_excess: Option<(f64, f64)>,
}

/// Returns a value to which `functions` may have been applied to give `x`. Rounding to the dtype maps an interval of values
/// to x. `fraction` is the position in this interval, from 0 to 1. If the fractions are random, the result follows the
/// distribution of the argument in types with few digits, too.
fn argument_of(x: f64, fraction: f64, functions: Functions, argument: &Plan, dtype: DType) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let (first, last) = grid::rounding_interval(dtype, x);
    let inverse = |x| functions.invert(x);
    let value = inverse(first + (last - first) * fraction);
    let (low, high) = argument.bounds();
    // The interval of a value at a bound is partly out of bounds, but the value before rounding was not.
    let explained = inverse(first) <= high && inverse(last) >= low;
    let reflected = if value >= high { 2.0 * high - value } else { 2.0 * low - value };
    if (value >= high || value < low) && explained && low < reflected && reflected < high {
        reflected
    } else {
        value
    }
}

impl ViewTests {
    /// Tests the values of a view against its plan, which must have no blocks.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn new(
        view: &TensorView<'_>,
        plan: &Plan,
        references: &mut ReferenceCache,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut tests = Self::default();
        match (references.get(plan), plan.distribution()) {
            // If the variance is 0, the dtype rounds all values to the same value. The last arm of the match then
            // compares the values exactly.
            (Some(reference), distribution) if reference.moments.variance > 0.0 => {
                let zeros = match distribution {
                    Distribution::Sparse { zeros, .. } => Some(zeros),
                    _ => None,
                };
                tests.independent(view, reference, zeros, None, progress)?;
            }
            // The functions are increasing, so the values are tested through the inverse functions.
            (None, Distribution::Mapped { functions }) => {
                match plan.argument().and_then(|argument| Some((argument, references.get(argument)?))) {
                    Some((argument, reference)) if reference.moments.variance > 0.0 => {
                        let state = Cell::new(0u64);
                        let argument_of = |x: f64| {
                            // The golden ratio gives fractions that fill the interval from 0 to 1 evenly.
                            state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
                            let fraction = (state.get() >> 11) as f64 / (1u64 << 53) as f64;
                            argument_of(x, fraction, functions, argument, plan.dtype())
                        };
                        tests.independent(view, reference, None, Some(&argument_of), progress)?;
                    }
                    _ => tests.exact(view, plan, progress)?,
                }
            }
            (None, Distribution::Orthogonal { gain }) if gain != 0.0 && !plan.is_empty() => {
                tests.orthogonal(view, gain, plan, progress)?;
            }
            _ => tests.exact(view, plan, progress)?,
        }
        Ok(tests)
    }

    fn fail(&mut self, test: &'static str, text: String) {
        self.results.push(TestResult::failure(test, text));
    }

    /// Tests independent random values. `zeros` is the planned number of zeros in each column of a `sparse` matrix, and
    /// `None` for other distributions. `map` gives the
    /// value that follows the reference distribution, if it is not the value of the tensor.
    fn independent(
        &mut self,
        view: &TensorView<'_>,
        reference: &ReferenceDistribution,
        zeros: Option<usize>,
        map: Option<&dyn Fn(f64) -> f64>,
        progress: &dyn Progress,
    ) -> Result {
        let mut mapped: Vec<f64> = Vec::new();
        let mut hash = DefaultHasher::new();
        let mut repeats = RepeatSearch::new(view.shape());
        let mut sample = SampleStatistics::new(reference, zeros.is_some());
        let mut zeros_of_columns = vec![0u64; zeros.map_or(0, |_| view.shape()[1])];
        let mut column = 0;
        view.values(|values| {
            match map {
                Some(map) => {
                    mapped.clear();
                    mapped.extend(values.iter().map(|x| map(*x)));
                    sample.add(reference, &mapped);
                }
                None => sample.add(reference, values),
            }
            repeats.add(values);
            values.iter().for_each(|x| hash.write_u64(x.to_bits()));
            if !zeros_of_columns.is_empty() {
                for x in values {
                    zeros_of_columns[column] += u64::from(*x == 0.0);
                    column = (column + 1) % zeros_of_columns.len();
                }
            }
            report_read(progress, view.entry(), values.len());
        })?;
        self.hash = Some(hash.finish());
        self.results = sample.tests(reference);
        if let Some(zeros) = zeros {
            self.column_zeros(&zeros_of_columns, zeros as u64, &sample, reference);
        }
        if let Some(repeat) = repeats.any() {
            let mut text = repeat.to_string();
            if let Repeat::Range(first, second) = repeat {
                let values = view.shape().iter().product::<usize>();
                text += &format!(": {} apart in {}", second - first, counted(values as u64, "value"));
            }
            self.fail("repeats", text);
        }
        self.variance_excess = (sample.count > 0).then(|| sample.variance_excess(reference));
        Ok(())
    }

    /// Tests the number of zeros in each column of a `sparse` matrix. `found` has the number of zeros in each column. A
    /// few more zeros than planned are allowed, because random values may be exactly 0 too.
    fn column_zeros(
        &mut self,
        found: &[u64],
        planned: u64,
        sample: &SampleStatistics,
        reference: &ReferenceDistribution,
    ) {
        let short = found.iter().filter(|&&found| found < planned).count();
        if short > 0 {
            self.fail("zeros", format!("{short} of {} columns have fewer than {planned} zeros", found.len()));
        }
        let extra: u64 = found.iter().map(|&found| found.saturating_sub(planned)).sum();
        let expected = sample.count as f64 * (2f64.powi(-23) + reference.distribution.density(0.0) * 1e-7);
        if extra as f64 > 20.0 + 10.0 * expected {
            self.fail("zeros", format!("{extra} zeros more than the {planned} planned in each column"));
        }
    }

    /// Tests whether a matrix is `gain` times a random orthogonal matrix from the Haar measure.
    fn orthogonal(
        &mut self,
        view: &TensorView<'_>,
        gain: f64,
        plan: &Plan,
        progress: &dyn Progress,
    ) -> Result {
        let mut hash = DefaultHasher::new();
        let mut entries = EntryStatistics::default();
        view.values(|values| {
            entries.add(values);
            values.iter().for_each(|x| hash.write_u64(x.to_bits()));
            report_read(progress, view.entry(), values.len());
        })?;
        self.hash = Some(hash.finish());
        let departure = orthogonal::departure(view, gain)?;
        let tolerance = orthogonal::tolerance(plan.dtype());
        if departure > tolerance || departure.is_nan() {
            let text = format!(
                "not orthogonal with gain {gain}: relative error {departure:.2e}, rounding explains up to {tolerance:.0e}"
            );
            self.fail("orthogonal", text);
        }
        self.results.extend(entries.tests(view.shape(), gain, plan.dtype()));
        Ok(())
    }

    /// Compares values that do not depend on the seed with the plan, bit for bit.
    fn exact(&mut self, view: &TensorView<'_>, plan: &Plan, progress: &dyn Progress) -> Result {
        let name = &view.entry().name;
        let native = Native::new(0);
        let error = |source| Error::Tensor { tensor: name.clone(), source };
        let prepared = native.tensor("").prepare(plan).map_err(error)?;
        let mut chunks = Chunks::new(plan.shape(), CHUNK);
        let mut chunk = Vec::new().into_iter();
        let mut next_expected = || -> Result<f64> {
            if chunk.len() == 0 {
                let (start, size) = chunks.next().expect("a plan has as many values as its view");
                let values =
                    generate(name, plan.dtype(), &size, |values| prepared.fill_region(&start, values))?;
                chunk = decode(view.entry().dtype, &values.bytes()).into_iter();
            }
            Ok(chunk.next().expect("a chunk has at least one value"))
        };
        let (mut index, mut mismatch, mut error) = (0, Mismatch::default(), None);
        view.values(|values| {
            for &found in values {
                match next_expected() {
                    // The bits of the values are compared, so -0 differs from 0.
                    Ok(expected) if expected.to_bits() == found.to_bits() => {}
                    Ok(expected) => mismatch.add(index, expected, found),
                    Err(failed) => {
                        error.get_or_insert(failed);
                        return;
                    }
                }
                index += 1;
            }
            report_read(progress, view.entry(), values.len());
        })?;
        if let Some(error) = error {
            return Err(error);
        }
        self.results.extend(mismatch.exact_failure(index));
        Ok(())
    }
}
