//! Tests the values of one tensor, or of one block of a fused parameter, against its plan. The distribution of the plan
//! determines the tests.

use fanin::region::Chunks;
use fanin::{DType, Distribution, Functions, Native, Plan};
use fanin_checkpoint::Progress;
use fanin_checkpoint::decode;
use fanin_recipe::text::counted;

use super::generate::{CHUNK, generate, report_read};
use super::grid;
use super::mismatch::Mismatch;
use super::orthogonal::{self, EntryStatistics};
use super::p_value::poisson_at_least;
use super::reference::{ReferenceDistribution, References};
use super::repeats::{Repeat, RepeatSearch};
use super::sample::SampleStatistics;
use super::signature::Signature;
use super::structure::{MIN_VALUES, Structure, Subject};
use super::tensor_view::{Part, TensorView};
use super::test_result::TestResult;
use crate::error::{Error, Result};
use crate::parallel::try_reduce;
use crate::signs::GOLDEN_RATIO;

/// The largest number of values in a part of a tensor, unless a single row has more values. Parts are tested in
/// parallel. Each thread keeps the values of at most one part in memory.
pub(crate) const PART: usize = 1 << 22;

/// The results of testing a view of a tensor.
#[derive(Debug, Default)]
pub(crate) struct ViewTests {
    /// The results of the tests.
    pub(crate) results: Vec<TestResult>,
    /// Why the values were not tested, or `None` if they were.
    pub(crate) unchecked: Option<String>,
    /// A hash of the values in row-major order, or `None` if the values are not random.
    pub(crate) hash: Option<u64>,
    /// Numbers by which the values are compared with the values of other tensors. `None` if the values are not random.
    pub(crate) signature: Option<Signature>,
    /// The sum of z^2 - 1 over the standardized values z, and the variance of this sum. See
    /// [`SampleStatistics::variance_excess`]. `None` if the values are too few or not independent.
    pub(crate) variance_excess: Option<(f64, f64)>,
}

/// The inverse of the functions that a plan applies to random values, such as the logarithm for `exp`.
#[derive(Debug, Clone, Copy)]
struct Inverse<'p> {
    /// The functions that the plan applies to the random values.
    functions: Functions,
    /// The plan of the random values.
    argument: &'p Plan,
    dtype: DType,
    /// The state of a generator of numbers between 0 and 1. See [`Inverse::argument_of`].
    state: u64,
}

impl Inverse<'_> {
    /// Returns a value that the functions of the plan map to `x`, after rounding to the type of the tensor.
    ///
    /// The numbers that are rounded to `x` form an interval around `x`. Each call inverts a different number of this
    /// interval. The returned values therefore follow the distribution of the random values, even if the type has few
    /// digits.
    fn argument_of(&mut self, x: f64) -> f64 {
        if !x.is_finite() {
            return x;
        }
        // Multiples of the golden ratio, modulo 1, fill the interval from 0 to 1 evenly.
        self.state = self.state.wrapping_add(GOLDEN_RATIO);
        let fraction = (self.state >> 11) as f64 / (1u64 << 53) as f64;
        let (first, last) = grid::rounding_interval(self.dtype, x);
        let inverse = |x| self.functions.invert(x);
        let value = inverse(first + (last - first) * fraction);
        let (low, high) = self.argument.bounds();
        // The rounding interval of an `x` at a bound extends beyond this bound, so `value` may be out of bounds. Such a
        // `value` is reflected at the bound, because the number before rounding was within the bounds.
        let explained = inverse(first) <= high && inverse(last) >= low;
        let reflected = if value >= high { 2.0 * high - value } else { 2.0 * low - value };
        if (value >= high || value < low) && explained && low < reflected && reflected < high {
            reflected
        } else {
            value
        }
    }
}

/// The statistics of a range of rows of a tensor of independent random values.
struct Independent {
    sample: SampleStatistics,
    repeats: RepeatSearch,
    structure: Option<Structure>,
    signature: Signature,
    /// The number of zeros of each column of a `sparse` matrix. Empty for other distributions.
    zeros_of_columns: Vec<u64>,
}

impl ViewTests {
    /// Tests the values of a view against `plan`. The plan must have no blocks.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn new(
        view: &TensorView<'_>,
        plan: &Plan,
        references: &References,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut tests = Self::default();
        match (references.get(plan), plan.distribution()) {
            (Some(reference), distribution) if reference.is_testable() => {
                let zeros = match distribution {
                    Distribution::Sparse { zeros, .. } => Some(zeros),
                    _ => None,
                };
                tests.independent(view, reference, zeros, None, progress)?;
            }
            // The inverse of the functions maps the values of the tensor back to the random values, which are tested.
            (None, Distribution::Mapped { functions }) => {
                let argument =
                    plan.argument().and_then(|argument| Some((argument, references.get(argument)?)));
                match argument.filter(|(_, reference)| reference.is_testable()) {
                    Some((argument, reference)) => {
                        let inverse = Inverse { functions, argument, dtype: plan.dtype(), state: 0 };
                        tests.independent(view, reference, None, Some(inverse), progress)?;
                    }
                    None => tests.exact(view, plan, progress)?,
                }
            }
            // If the type rounds all values to the same value, the last arm of this match compares the values exactly.
            (Some(reference), _) if !reference.is_one_value() => {
                let text = "the planned standard deviation is below the resolution of f64";
                tests.unchecked = Some(text.to_owned());
            }
            (None, Distribution::Orthogonal { gain }) if gain != 0.0 && !plan.is_empty() => {
                tests.orthogonal(view, gain, plan, progress)?;
            }
            _ => tests.exact(view, plan, progress)?,
        }
        Ok(tests)
    }

    /// Adds a failed result of the test named `test`.
    fn fail(&mut self, test: &'static str, text: String) {
        self.results.push(TestResult::failure(test, text));
    }

    /// Tests independent random values against a reference distribution. `zeros` is the planned number of zeros in each
    /// column of a `sparse` matrix, and otherwise `None`. If the plan applies functions to random values, `inverse`
    /// maps the stored values back to these random values. Otherwise, `inverse` is `None`.
    fn independent(
        &mut self,
        view: &TensorView<'_>,
        reference: &ReferenceDistribution,
        zeros: Option<usize>,
        inverse: Option<Inverse<'_>>,
        progress: &dyn Progress,
    ) -> Result {
        let parts = view.parts(PART);
        let sparse = zeros.is_some();
        let of_part = |n: usize| Independent::of(view, &parts[n], reference, sparse, inverse, progress);
        let Some(whole) = try_reduce(parts.len(), of_part, Independent::merge)? else { return Ok(()) };

        let Independent { mut sample, repeats, structure, signature, zeros_of_columns } = whole;
        if let Some(zeros) = zeros {
            let planned = (zeros * zeros_of_columns.len()) as u64;
            sample.add_zeros(reference, sample.zeros_found().saturating_sub(planned));
        }
        self.hash = Some(repeats.hash());
        // The distribution of the correlation of two tensors is known only if most of their values are distinct.
        let values = view.shape().iter().product::<usize>();
        let dense = reference.moments.kurtosis < 6.0 && (zeros.is_none() || values >= 1 << 16);
        self.signature = (sample.count() > 0 && dense).then_some(signature);
        self.results = sample.tests(reference);
        if let Some(zeros) = zeros {
            self.column_zeros(&zeros_of_columns, zeros as u64, &sample, reference);
        }
        if let Some(repeat) = repeats.any() {
            let mut text = repeat.to_string();
            if let Repeat::Range(first, second) = repeat {
                text += &format!(": {} apart in {}", second - first, counted(values as u64, "value"));
            }
            self.fail("repeats", text);
        }
        if let Some(structure) = structure {
            self.results.extend(structure.tests(view.shape(), &reference.moments));
            self.results.extend(repeats.same_magnitudes());
        }
        self.variance_excess = sample.variance_excess(reference);
        Ok(())
    }

    /// Tests `found`, the number of zeros in each column of a `sparse` matrix. A column may have a few more zeros than
    /// `planned`, because a random value may be 0.
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
        let expected = sample.count() as f64 * reference.probability_of_zero();
        let text =
            format!("{extra} zeros more than the {planned} planned in each column, expected {expected:.1}");
        self.results.push(TestResult::new("zeros", poisson_at_least(extra, expected), text));
    }

    /// Tests whether a matrix is `gain` times an orthogonal matrix drawn from the Haar measure, the uniform
    /// distribution of orthogonal matrices.
    fn orthogonal(
        &mut self,
        view: &TensorView<'_>,
        gain: f64,
        plan: &Plan,
        progress: &dyn Progress,
    ) -> Result {
        let entry = orthogonal::root_mean_square(view.shape(), gain);
        let Some(tolerance) = orthogonal::tolerance(plan.dtype(), entry) else {
            self.unchecked = Some(format!(
                "entries of about {entry:.1e} are too small for {}: rounding destroys the orthogonality",
                plan.dtype()
            ));
            return Ok(());
        };
        let mut repeats = RepeatSearch::new(view.shape(), 0);
        let mut entries = EntryStatistics::default();
        let mut signature = Signature::new(0, 0.0, entry);
        view.values(|values| {
            entries.add(values);
            repeats.add(values);
            signature.add(values);
            report_read(progress, view.entry(), values.len());
        })?;
        signature.finish(view)?;
        self.signature = Some(signature);
        self.hash = Some(repeats.hash());
        let departure = orthogonal::departure(view, gain)?;
        if departure > tolerance || departure.is_nan() {
            let text = format!(
                "not orthogonal with gain {gain}: relative error {departure:.2e}, rounding explains up to {tolerance:.0e}"
            );
            self.fail("orthogonal", text);
        }
        self.results.extend(entries.tests(view.shape(), gain, plan.dtype()));
        Ok(())
    }

    /// Compares the values of a view with the values of its plan. The values of the plan must not depend on a seed.
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
                    // 0 and -0 count as equal: if a random value is rounded to 0, its sign depends on the seed.
                    Ok(expected) if expected == found || expected.to_bits() == found.to_bits() => {}
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

impl Independent {
    /// Reads a part of a view and computes its statistics. If `sparse` is true, the zeros of each column are counted,
    /// and the statistics in the field `sample` are computed without zeros. `inverse` maps stored values to values of
    /// the reference distribution.
    fn of(
        view: &TensorView<'_>,
        part: &Part<'_>,
        reference: &ReferenceDistribution,
        sparse: bool,
        inverse: Option<Inverse<'_>>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let (whole, shape) = (view.shape(), part.view.shape());
        let moments = reference.moments;
        // The type of the stored values. If the plan applies functions, `reference.dtype` is the type of their
        // argument.
        let dtype = view.entry().dtype.float().unwrap_or(reference.dtype);
        let subject = Subject { shape, dtype, moments };
        let values = whole.iter().product::<usize>();
        let mut found = Self {
            sample: SampleStatistics::new(sparse),
            repeats: RepeatSearch::new(whole, part.first),
            structure: (!sparse && values >= MIN_VALUES).then(|| Structure::new(subject)),
            signature: Signature::new(part.first, moments.mean, moments.std),
            zeros_of_columns: vec![0; if sparse { whole[1] } else { 0 }],
        };
        let mut inverse = inverse.map(|inverse| Inverse { state: part.first as u64, ..inverse });
        let mut arguments = Vec::new();
        let mut column = 0;
        part.view.values(|stored| {
            let values = match &mut inverse {
                Some(inverse) => {
                    arguments.clear();
                    arguments.extend(stored.iter().map(|x| inverse.argument_of(*x)));
                    &arguments[..]
                }
                None => stored,
            };
            found.sample.add(reference, values);
            found.repeats.add(stored);
            found.signature.add(values);
            if let Some(structure) = &mut found.structure {
                structure.add(stored, values);
            }
            if !found.zeros_of_columns.is_empty() {
                for x in values {
                    found.zeros_of_columns[column] += u64::from(*x == 0.0);
                    column = (column + 1) % found.zeros_of_columns.len();
                }
            }
        })?;
        report_read(progress, view.entry(), shape.iter().product());
        if let Some(structure) = &mut found.structure {
            structure.finish();
        }
        if part.first == 0 {
            found.signature.finish(view)?;
        }
        Ok(found)
    }

    /// Merges the statistics of `next`. The rows of `next` follow those of `self` in the tensor.
    fn merge(&mut self, next: Self) {
        self.sample.merge(&next.sample);
        self.repeats.merge(next.repeats);
        self.signature.merge(&next.signature);
        if let (Some(structure), Some(next)) = (&mut self.structure, next.structure) {
            structure.merge(next);
        }
        self.zeros_of_columns.iter_mut().zip(next.zeros_of_columns).for_each(|(sum, count)| *sum += count);
    }
}
