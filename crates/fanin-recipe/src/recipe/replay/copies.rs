//! Limits the copies between the tensors of a replay. Without limits, a short replay could take very long to run.

use std::collections::HashMap;

use super::super::source::Span;
use super::definition::ReplayTensor;
use super::step::StepKind;
use crate::error::Result;

/// The maximum number of tensors in a chain, in which each tensor copies the tensor before it. The values of a chain
/// are computed by recursion, which must not overflow the stack.
const MAX_CHAIN: usize = 100;

/// The maximum of [`Work::computed`]. A tensor is computed again for each step that copies it. For example, if each
/// tensor has two steps that copy the previous tensor, `computed` about doubles from one tensor to the next.
const MAX_COMPUTED: usize = 1 << 20;

/// The work for each tensor that was added so far, by the tensor's name.
#[derive(Default)]
pub(super) struct Copies(HashMap<String, Work>);

/// The work to compute the values of one tensor.
#[derive(Clone, Copy)]
struct Work {
    /// The length of the longest chain of copies that ends with the tensor.
    chain: usize,
    /// The number of tensors that are computed to get the values of this one tensor, including the tensor itself. A
    /// tensor that is computed several times counts each time.
    computed: usize,
}

impl Copies {
    /// Adds a tensor, which must copy only tensors that were added before. Returns an error if [`MAX_CHAIN`] or
    /// [`MAX_COMPUTED`] is exceeded.
    pub(super) fn add(&mut self, tensor: &ReplayTensor, span: &Span) -> Result {
        let mut work = Work { chain: 1, computed: 1 };
        for step in &tensor.steps {
            let StepKind::Copy { name, .. } = &step.kind else { continue };
            let source = self.0[name];
            work.chain = work.chain.max(source.chain + 1);
            // The sum cannot overflow: each term is at most 2^20, and a tensor has fewer than 2^40 steps.
            work.computed += source.computed;
        }
        let remedy = "copy the tensor at the beginning of the chain";
        if work.chain > MAX_CHAIN {
            return Err(
                span.error(format!("more than {MAX_CHAIN} tensors copy each other in a chain"), remedy)
            );
        }
        if work.computed > MAX_COMPUTED {
            let message = format!("the copies of this tensor compute more than {MAX_COMPUTED} tensors");
            return Err(span.error(message, remedy));
        }
        self.0.insert(tensor.entry.name.clone(), work);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use crate::Replay;

    /// Parses a replay of `count` tensors. Each tensor except the first has `steps` steps. Each step copies the
    /// previous tensor.
    fn parse(count: usize, steps: usize) -> Result<(), String> {
        let mut text =
            "[replay]\nversion = 1\n[tensors]\nt0 = { shape = [1], fill = \"zeros\" }\n".to_owned();
        for number in 1..count {
            let copies = vec![format!("{{ copy = \"t{}\" }}", number - 1); steps].join(", ");
            _ = writeln!(text, "t{number} = {{ shape = [1], steps = [{copies}] }}");
        }
        Replay::parse(&text, Path::new("r.toml")).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn long_chains_of_copies_and_copies_that_multiply_are_errors() {
        assert_eq!((parse(100, 1), parse(20, 2)), (Ok(()), Ok(())));
        assert!(parse(101, 1).unwrap_err().contains("more than 100 tensors copy each other in a chain"));
        assert!(parse(21, 2).unwrap_err().contains("compute more than 1048576 tensors"));
    }
}
