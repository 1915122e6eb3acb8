//! Whether a view follows its plan: the tests that the plan's distribution asks for, in one pass and a few more of what is
//! orthogonal.

use std::hash::{DefaultHasher, Hasher as _};

use fanin::{Distribution, Native, Plan};

use super::bits::Difference;
use super::orthogonal;
use super::repeats::{Repeats, Twice};
use super::sample::{Outcome, Reference, Sample};
use super::tensor_view::TensorView;
use crate::error::{Error, Result};
use fanin::region::Chunks;
use fanin_checkpoint::ValueBuffer;
use fanin_checkpoint::decode;
use fanin_recipe::text as numbers;

/// What was found.
#[derive(Debug, Default)]
pub struct Followed {
    /// The tests.
    pub outcomes: Vec<Outcome>,
    /// A hash of the values of a random distribution: no two tensors have one.
    pub hash: Option<u64>,
    /// Of independent values, [`Sample::excess`].
    pub excess: Option<(f64, f64)>,
}

impl Followed {
    fn say(&mut self, test: &'static str, p: f64, text: String) {
        self.outcomes.push(Outcome { test, p, text });
    }

    /// Holds the values of a view against its plan, which has no parts. `seen` is told how many were looked at.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of(
        view: &TensorView<'_>,
        plan: &Plan,
        references: &mut Vec<Reference>,
        seen: impl FnMut(usize),
    ) -> Result<Self> {
        let mut found = Self::default();
        match (Reference::known(references, plan), plan.distribution()) {
            // Where the type cannot hold the distribution all its values are one.
            (Some(reference), distribution) if reference.moments.variance > 0.0 => {
                let zeros = match distribution {
                    Distribution::Sparse { zeros, .. } => Some(zeros),
                    _ => None,
                };
                found.independent(view, reference, zeros, seen)?;
            }
            (None, Distribution::Orthogonal { gain }) if gain != 0.0 && !plan.is_empty() => {
                found.orthogonal(view, gain, plan, seen)?;
            }
            _ => found.exact(view, plan, seen)?,
        }
        Ok(found)
    }

    /// Values drawn one by one, and, of `sparse`, so many zeros in each column.
    fn independent(
        &mut self,
        view: &TensorView<'_>,
        reference: &Reference,
        zeros: Option<usize>,
        mut seen: impl FnMut(usize),
    ) -> Result {
        let mut hash = DefaultHasher::new();
        let mut repeats = Repeats::new(view.shape());
        let mut sample = Sample::new(reference, zeros.is_some());
        let mut columns = vec![0u64; zeros.map_or(0, |_| view.shape()[1])];
        let mut column = 0;
        view.values(|values| {
            sample.add(reference, values);
            repeats.add(values);
            values.iter().for_each(|x| hash.write_u64(x.to_bits()));
            if !columns.is_empty() {
                for x in values {
                    columns[column] += u64::from(*x == 0.0);
                    column = (column + 1) % columns.len();
                }
            }
            seen(values.len());
        })?;
        self.hash = Some(hash.finish());
        self.outcomes = sample.tests(reference);
        if let Some(zeros) = zeros {
            let off = columns.iter().filter(|&&found| found < zeros as u64).count();
            if off > 0 {
                let text = format!("{off} of {} columns have fewer than {zeros} zeros", columns.len());
                self.say("zeros", 0.0, text);
            }
            let more: u64 = columns.iter().map(|&found| found.saturating_sub(zeros as u64)).sum();
            let expected = sample.count as f64 * (2f64.powi(-23) + reference.draw.density(0.0) * 1e-7);
            if more as f64 > 20.0 + 10.0 * expected {
                self.say("zeros", 0.0, format!("{more} zeros more than the {zeros} planned in each column"));
            }
        }
        if let Some(twice) = repeats.any() {
            let text = match twice {
                Twice::Stretch(first, second) => format!(
                    "a stretch of values stands twice, at the indices {first} and {second}: {} apart of {}",
                    second - first,
                    numbers::counted(view.shape().iter().product::<usize>() as u64, "value")
                ),
                Twice::Rows(first, second) => format!("the rows {first} and {second} are equal"),
            };
            self.say("repeats", 0.0, text);
        }
        self.excess = (sample.count > 0).then(|| sample.excess(reference));
        Ok(())
    }

    /// A matrix with orthonormal rows or columns times a gain, drawn by Haar's measure.
    fn orthogonal(
        &mut self,
        view: &TensorView<'_>,
        gain: f64,
        plan: &Plan,
        mut seen: impl FnMut(usize),
    ) -> Result {
        let mut hash = DefaultHasher::new();
        let mut entries = orthogonal::Entries::default();
        view.values(|values| {
            entries.add(values);
            values.iter().for_each(|x| hash.write_u64(x.to_bits()));
            seen(values.len());
        })?;
        self.hash = Some(hash.finish());
        let (departure, most) = (orthogonal::departure(view, gain)?, orthogonal::tolerance(plan.dtype()));
        if departure > most || departure.is_nan() {
            let text =
                format!("not orthogonal times {gain}: off by {departure:.2e}, rounding explains {most:.0e}");
            self.say("orthogonal", 0.0, text);
        }
        self.outcomes.extend(entries.tests(view.shape(), gain, plan.dtype()));
        Ok(())
    }

    /// Nothing is random: any seed tells the values.
    fn exact(&mut self, view: &TensorView<'_>, plan: &Plan, mut seen: impl FnMut(usize)) -> Result {
        const CHUNK: usize = 1 << 20;
        let name = &view.entry().name;
        let wrong = |source| Error::Tensor { tensor: name.clone(), source };
        let full = |_| Error::Request(format!("{name}: no memory for its values"));
        let native = Native::new(0);
        let prepared = native.tensor("").prepare(plan).map_err(wrong)?;
        let mut boxes = Chunks::new(plan.shape(), CHUNK);
        let mut planned = Vec::new().into_iter();
        let mut next = || -> Result<f64> {
            if planned.len() == 0 {
                let (start, size) = boxes.next().expect("a plan has as many values as its view");
                let mut values = ValueBuffer::new(plan.dtype(), size.iter().product()).map_err(full)?;
                values
                    .tensor(&size)
                    .and_then(|tensor| prepared.fill_region(&start, tensor))
                    .map_err(wrong)?;
                planned = decode(view.entry().dtype, &values.bytes()).into_iter();
            }
            Ok(planned.next().expect("a box has values"))
        };
        let (mut at, mut difference, mut trouble) = (0, Difference::default(), None);
        view.values(|values| {
            for &is in values {
                match next() {
                    // -0 is not 0.
                    Ok(right) if right.to_bits() == is.to_bits() => {}
                    Ok(right) => difference.count(at, right, is),
                    Err(error) => {
                        trouble.get_or_insert(error);
                        return;
                    }
                }
                at += 1;
            }
            seen(values.len());
        })?;
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        self.outcomes.extend(difference.exact(at));
        Ok(())
    }
}
