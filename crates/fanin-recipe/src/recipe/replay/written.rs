//! Checks that the steps of a replay write every element of its tensors.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::source::Span;
use super::definition::ReplayTensor;
use super::step::{StepKind, View};
use crate::error::Result;

/// The maximum number of contiguous ranges of elements that are checked for one replay. Without a maximum, the check of
/// a short replay could take hours, or all memory.
const MAX_RUNS: usize = 1 << 23;

/// Checks the tensors of one replay, and counts their runs. A run is a contiguous range of elements in a tensor's
/// memory.
#[derive(Default)]
pub(super) struct WrittenCheck {
    /// The number of contiguous ranges of elements that have been checked, in all tensors so far.
    runs: usize,
}

impl WrittenCheck {
    /// Returns an error if an element of the tensor is never written, or is changed before it is written. For example,
    /// `mul` changes elements.
    pub(super) fn check(&mut self, tensor: &ReplayTensor, span: &Span) -> Result {
        let changes =
            |kind: &StepKind| matches!(kind, StepKind::Multiply(_) | StepKind::Divide(_) | StepKind::Add(_));
        if tensor.steps.first().is_some_and(|step| step.view.is_none() && !changes(&step.kind)) {
            return Ok(());
        }
        let whole = tensor.view();
        let mut written = Ranges::default();
        for step in &tensor.steps {
            let view = step.view.as_ref().unwrap_or(&whole);
            if !changes(&step.kind) {
                self.for_each_run(view, span, |run| written.add(run))?;
                continue;
            }
            let mut is_written = true;
            self.for_each_run(view, span, |run| is_written &= written.contains(&run))?;
            if !is_written {
                return Err(span.error("a step changes elements that no step has written", ""));
            }
        }
        let mut is_complete = true;
        self.for_each_run(&whole, span, |run| is_complete &= written.contains(&run))?;
        if is_complete {
            Ok(())
        } else {
            Err(span.error("the steps do not write all elements", "add a step"))
        }
    }

    /// Calls `visit` for each run of a view (see [`View::runs`]).
    fn for_each_run(&mut self, view: &View, span: &Span, mut visit: impl FnMut(Range<usize>)) -> Result {
        let (length, starts) = view.runs();
        let total = starts.count().and_then(|count| self.runs.checked_add(count));
        self.runs = total.filter(|&total| total <= MAX_RUNS).ok_or_else(|| {
            let message =
                format!("the views of the replay have more than {MAX_RUNS} contiguous ranges of elements");
            span.error(message, "write the whole tensor in its first step")
        })?;
        starts.for_each(|start| visit(start..start + length));
        Ok(())
    }
}

/// A set of positions in a tensor's memory: maps the start of each range to its end (exclusive). The ranges neither
/// overlap nor touch.
#[derive(Default)]
struct Ranges(BTreeMap<usize, usize>);

impl Ranges {
    /// Adds the positions of a range, which must not be empty.
    fn add(&mut self, Range { mut start, mut end }: Range<usize>) {
        while let Some((&first, &last)) = self.0.range(..=end).next_back().filter(|&(_, &last)| last >= start)
        {
            (start, end) = (start.min(first), end.max(last));
            self.0.remove(&first);
        }
        self.0.insert(start, end);
    }

    /// Returns true if the set contains all positions of a range.
    fn contains(&self, range: &Range<usize>) -> bool {
        self.0.range(..=range.start).next_back().is_some_and(|(_, &last)| last >= range.end)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Ranges;
    use crate::Replay;

    #[test]
    fn a_set_of_ranges_has_the_positions_that_were_added() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..200 {
            let (mut ranges, mut expected) = (Ranges::default(), [false; 40]);
            for _ in 0..8 {
                let start = random() % 38;
                let end = start + 1 + random() % (39 - start).min(9);
                ranges.add(start..end);
                expected[start..end].fill(true);
                for first in 0..40 {
                    for last in first + 1..=40 {
                        assert_eq!(
                            ranges.contains(&(first..last)),
                            expected[first..last].iter().all(|&is_in| is_in)
                        );
                    }
                }
            }
        }
    }

    fn parse(tensor: &str) -> Result<(), String> {
        let text = format!("[replay]\nversion = 1\n[tensors]\nw = {tensor}\n");
        Replay::parse(&text, Path::new("r.toml")).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn steps_that_write_every_element_of_a_huge_tensor_are_checked_without_its_memory() {
        let half = |offset: u64| {
            format!("{{ fill = \"zeros\", view = {{ offset = {offset}, shape = [1099511627776] }} }}")
        };
        let both = format!("{{ shape = [2, 1099511627776], steps = [{}, {}] }}", half(0), half(1 << 40));
        assert_eq!(parse(&both), Ok(()));
        let one = format!("{{ shape = [2, 1099511627776], steps = [{}] }}", half(0));
        assert!(parse(&one).unwrap_err().contains("do not write all elements"));
    }

    #[test]
    fn views_with_too_many_runs_and_sizes_that_overflow_are_errors() {
        for (tensor, expected) in [
            (
                "{ shape = [1099511627776], strides = [2], steps = [{ fill = \"zeros\", view = { shape = [1] } }] }",
                "more than 8388608 contiguous ranges",
            ),
            (
                "{ shape = [2], strides = [9223372036854775807], steps = [{ fill = \"zeros\", view = { shape = [1] } }] }",
                "do not write all elements",
            ),
            (
                "{ shape = [4611686018427387904, 4611686018427387904, 4], fill = \"zeros\" }",
                "too many elements",
            ),
            ("{ shape = [0, 4611686018427387904, 4], fill = \"zeros\" }", "too many elements"),
        ] {
            let error = parse(tensor).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
