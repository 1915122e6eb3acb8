//! What is held against one distribution: a tensor of a checkpoint, or a part of it that is drawn as if it were alone.

use fanin::{Block, Plan};

use crate::error::Result;
use fanin::region::{Region, Runs};
use fanin_checkpoint::Checkpoint;
use fanin_recipe::manifest::Entry;

/// A tensor, or a box of one.
#[derive(Debug, Clone)]
pub struct TensorView<'a> {
    checkpoint: &'a Checkpoint,
    number: usize,
    shape: Vec<usize>,
    runs: Runs,
}

impl<'a> TensorView<'a> {
    /// All of the tensor of that number.
    pub fn whole(checkpoint: &'a Checkpoint, number: usize) -> Self {
        let shape = checkpoint.manifest.entries[number].shape.clone();
        let runs = Region::whole(&shape).runs();
        Self { checkpoint, number, shape, runs }
    }

    /// A part of it. Its axes are in the order of the tensor's, whatever theirs is in the part: values and rows come as
    /// they lie in the file.
    pub fn part(checkpoint: &'a Checkpoint, number: usize, part: &Block) -> Self {
        let extent = part.extent();
        let runs = Region::new(&checkpoint.manifest.entries[number].shape, part.start(), &extent).runs();
        let mut axes = part.axes().to_vec();
        axes.sort_unstable();
        Self { checkpoint, number, shape: axes.iter().map(|&axis| extent[axis]).collect(), runs }
    }

    /// What of the tensor has a plan of its own: its parts, each with what is added to its name, or else all of it.
    pub fn all<'p>(
        checkpoint: &'a Checkpoint,
        number: usize,
        plan: &'p Plan,
    ) -> Vec<(String, Self, &'p Plan)> {
        if plan.blocks().is_empty() {
            return vec![(String::new(), Self::whole(checkpoint, number), plan)];
        }
        let part =
            |part: &'p Block| (part.suffix().to_owned(), Self::part(checkpoint, number, part), part.plan());
        plan.blocks().iter().map(part).collect()
    }

    /// How many values are not 0 in none of these views of the tensor, of which no two overlap.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn between(
        checkpoint: &'a Checkpoint,
        number: usize,
        views: &[(String, Self, &Plan)],
    ) -> Result<u64> {
        let values = views.iter().map(|(_, _, plan)| plan.len()).sum::<usize>();
        if values == checkpoint.manifest.entries[number].values() {
            return Ok(0);
        }
        let others = |view: &Self| -> Result<u64> {
            let mut others = 0;
            // NaN is no 0, and -0 is none.
            view.values(|values| others += values.iter().filter(|x| x.to_bits() != 0).count() as u64)?;
            Ok(others)
        };
        let inside = views.iter().map(|(_, view, _)| others(view)).sum::<Result<u64>>()?;
        Ok(others(&Self::whole(checkpoint, number))? - inside)
    }

    /// The tensor.
    pub fn entry(&self) -> &'a Entry {
        &self.checkpoint.manifest.entries[self.number]
    }

    /// Its sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// As [`Checkpoint::values_of`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(&self, take: impl FnMut(&[f64])) -> Result {
        Ok(self.checkpoint.values_of(self.number, self.runs.clone(), take)?)
    }
}
