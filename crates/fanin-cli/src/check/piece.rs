//! What is held against one law: a tensor of a checkpoint, or a part of it that is drawn as if it were alone.

use fanin::{Part, Plan};

use crate::checkpoint::runs::Runs;
use crate::checkpoint::set::Checkpoints;
use crate::error::Result;
use crate::manifest::Entry;

/// A tensor, or a box of one.
#[derive(Debug, Clone)]
pub struct Piece<'a> {
    checkpoint: &'a Checkpoints,
    number: usize,
    shape: Vec<usize>,
    runs: Runs,
}

impl<'a> Piece<'a> {
    /// All of the tensor of that number.
    pub fn whole(checkpoint: &'a Checkpoints, number: usize) -> Self {
        let shape = checkpoint.manifest.entries[number].shape.clone();
        let runs = Runs::new(&shape, &vec![0; shape.len()], &shape);
        Self { checkpoint, number, shape, runs }
    }

    /// A part of it. Its axes are in the order of the tensor's, whatever theirs is in the part: values and rows come as
    /// they lie in the file.
    pub fn part(checkpoint: &'a Checkpoints, number: usize, part: &Part) -> Self {
        let extent = part.extent();
        let runs = Runs::new(&checkpoint.manifest.entries[number].shape, part.start(), &extent);
        let mut axes = part.axes().to_vec();
        axes.sort_unstable();
        Self { checkpoint, number, shape: axes.iter().map(|&axis| extent[axis]).collect(), runs }
    }

    /// What of the tensor has a plan of its own: its parts, each with what is added to its name, or else all of it.
    pub fn all<'p>(
        checkpoint: &'a Checkpoints,
        number: usize,
        plan: &'p Plan,
    ) -> Vec<(String, Self, &'p Plan)> {
        if plan.parts().is_empty() {
            return vec![(String::new(), Self::whole(checkpoint, number), plan)];
        }
        let part =
            |part: &'p Part| (part.suffix().to_owned(), Self::part(checkpoint, number, part), part.plan());
        plan.parts().iter().map(part).collect()
    }

    /// How many values are not 0 in none of these pieces of the tensor, of which no two overlap.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn between(
        checkpoint: &'a Checkpoints,
        number: usize,
        pieces: &[(String, Self, &Plan)],
    ) -> Result<u64> {
        let values = pieces.iter().map(|(_, _, plan)| plan.len()).sum::<usize>();
        if values == checkpoint.manifest.entries[number].values() {
            return Ok(0);
        }
        let others = |piece: &Self| -> Result<u64> {
            let mut others = 0;
            // NaN is no 0, and -0 is none.
            piece.values(|values| others += values.iter().filter(|x| x.to_bits() != 0).count() as u64)?;
            Ok(others)
        };
        let inside = pieces.iter().map(|(_, piece, _)| others(piece)).sum::<Result<u64>>()?;
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

    /// As [`Checkpoints::values_of`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(&self, take: impl FnMut(&[f64])) -> Result {
        self.checkpoint.values_of(self.number, self.runs.clone(), take)
    }
}
