//! Plans in parts on the native stream.

use std::sync::{Arc, Mutex, PoisonError};

use super::fill::{self, Region};
use super::native::{NativeTensor, Prepared};
use crate::error::Error;
use crate::plan::{Block, Distribution, Meeting};
use crate::rng::Philox;
use crate::tensor::{Order, TensorMut};

/// The stream of a tensor whose plan has parts.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    pub(super) tensor: NativeTensor,
    /// Values by their index in the whole.
    pub(super) values: Philox,
    pub(super) recent: Recent,
}

/// Matrices of parts that boxes met last: the next box is likely to meet them again, and all of a stack together may be
/// more than there is memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(Arc<Mutex<Vec<Numbered>>>);

/// The matrix of a part, and the part's number.
type Numbered = (usize, Arc<Prepared>);

/// Matrices that are kept.
const KEPT: usize = 3;

impl Blocks {
    /// Writes a box of the whole.
    pub(super) fn fill_region(
        &self,
        whole: &Prepared,
        start: &[usize],
        mut tensor: TensorMut<'_>,
    ) -> Result<(), Error> {
        let size = tensor.shape().to_vec();
        if whole.plan.has_background() {
            fill::background(whole.threads, 0.0, &mut tensor);
        }
        for (number, part) in whole.plan.blocks().iter().enumerate() {
            let Some(meeting) = part.meet(start, &size) else { continue };
            self.fill_part(whole, number, part, &meeting, start, &mut tensor)?;
        }
        Ok(())
    }

    fn fill_part(
        &self,
        whole: &Prepared,
        number: usize,
        part: &Block,
        meeting: &Meeting,
        start: &[usize],
        tensor: &mut TensorMut<'_>,
    ) -> Result<(), Error> {
        let distribution = part.plan().distribution();
        if let Distribution::Uniform { .. }
        | Distribution::Normal { .. }
        | Distribution::TruncatedNormal { .. } = distribution
        {
            let first: Vec<usize> = start.iter().zip(&meeting.in_box).map(|(a, b)| a + b).collect();
            let region = Region::new(whole.plan.shape(), &first, &meeting.extent);
            let axes: Vec<usize> = (0..first.len()).collect();
            let mut view = tensor.view(&meeting.in_box, &axes, &meeting.extent);
            view.write_in(Order::Index, |memory| {
                fill::by_index_on(whole.threads, whole.level, distribution, self.values, &region, memory);
            });
            return Ok(());
        }
        let mut view = tensor.view(&meeting.in_box, part.axes(), &meeting.size);
        if fill::fixed(whole.threads, part.plan(), &meeting.in_part, &mut view) {
            return Ok(());
        }
        self.matrix(number, part)?.fill_region(&meeting.in_part, view)
    }

    /// A part that is drawn as a matrix, from the tensor of its own name.
    fn matrix(&self, number: usize, part: &Block) -> Result<Arc<Prepared>, Error> {
        let recent = || self.recent.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, prepared)) = recent().iter().find(|(kept, _)| *kept == number) {
            return Ok(Arc::clone(prepared));
        }
        let name = self.tensor.name.clone() + part.suffix();
        let tensor = NativeTensor { native: self.tensor.native, name };
        let prepared = Arc::new(tensor.prepare(part.plan())?);
        let mut kept = recent();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((number, Arc::clone(&prepared)));
        Ok(prepared)
    }
}
