//! Values drawn by one thread while another takes them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use fanin::{CancelToken, DType, Native, Plan, Stream as _, TensorMut};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::options::{Draw, StreamKind};
use crate::range::TensorRange;
use crate::torch_sequence::{Sequence, Trouble, pieces};
use crate::values::Values;
use fanin::region::Chunks;
use fanin_recipe::manifest::Entry;
use fanin_recipe::recipe::{Action, Planned};
use fanin_recipe::text as numbers;

/// Bytes that are drawn and taken at a time: memory does not grow with the checkpoint.
const CHUNK: usize = 16 << 20;

/// Chunks that there are: one is taken while one is drawn, and one waits so that neither does.
const CHUNKS: usize = 3;

/// What is handed over, in this order for each stretch of tensors.
pub enum Item {
    /// The stretch of this number begins.
    Begin(usize),
    /// The next of its values.
    Values(Values),
    /// It has ended.
    End,
}

/// Why no more values are drawn.
enum Stop {
    /// Nobody takes them: who took them has something to say.
    Unwanted,
    Error(Error),
}

/// What draws.
enum Source {
    Native(Native),
    Torch(Box<Sequence>),
}

impl Source {
    fn new(Draw { stream, seed, .. }: Draw, planned: &[Planned]) -> Self {
        match stream {
            StreamKind::Native => Source::Native(Native::new(seed)),
            StreamKind::Torch => Source::Torch(Box::new(Sequence::new(seed, planned))),
        }
    }
}

/// The drawing end of the hand-over: its buffers come back from the taking end.
struct Hand {
    ready: Sender<Item>,
    empty: Receiver<Values>,
    spare: Vec<Values>,
}

impl Hand {
    fn give(&self, item: Item) -> Result<(), Stop> {
        self.ready.send(item).map_err(|_| Stop::Unwanted)
    }

    /// An empty buffer for so many bytes. Beside one that is larger than a chunk only one other is under way.
    fn buffer(&mut self, bytes: usize) -> Result<Values, Stop> {
        let wanted = if bytes > CHUNK { CHUNKS - 1 } else { 1 };
        while self.spare.len() < wanted {
            let mut values = self.empty.recv().map_err(|_| Stop::Unwanted)?;
            values.shrink_to(CHUNK);
            self.spare.push(values);
        }
        Ok(self.spare.pop().expect("there is one"))
    }

    /// Gives values of this type and shape, as `fill` makes them.
    fn give_filled(
        &mut self,
        dtype: DType,
        shape: &[usize],
        fill: impl FnOnce(TensorMut<'_>) -> Result<(), fanin::Error>,
        stop: impl Fn(Trouble) -> Stop,
    ) -> Result<(), Stop> {
        let count = shape.iter().product();
        let mut values = self.buffer(count * dtype.size())?;
        values.resize(dtype, count).map_err(|full| stop(full.into()))?;
        values.tensor(shape).and_then(fill).map_err(|error| stop(error.into()))?;
        self.give(Item::Values(values))
    }
}

/// Draws the tensors of these stretches.
fn make(
    planned: &[Planned],
    stretches: &[TensorRange],
    mut source: Source,
    copies: Option<Checkpoint>,
    mut hand: Hand,
) -> Result<(), Stop> {
    let mut copies = copies.map(|copies| {
        let entries = copies.manifest.entries.iter().enumerate();
        let numbers: HashMap<String, usize> =
            entries.map(|(number, entry)| (entry.name.clone(), number)).collect();
        (copies, numbers)
    });
    let mut at = 0;
    for (number, stretch) in stretches.iter().enumerate() {
        skip(planned.get(at..stretch.start()).unwrap_or_default(), &mut source)?;
        hand.give(Item::Begin(number))?;
        for number in stretch.start()..stretch.end() {
            let planned = &planned[number];
            let values = stretch.of(number, planned.entry.values());
            match (&planned.plan, &planned.action) {
                (Some(plan), _) => draw(planned, plan, values, &mut source, &mut hand)?,
                (None, Action::Copy) => copy(planned, values, copies.as_mut(), &mut hand)?,
                (None, Action::Arange) => count(planned, values, &mut hand)?,
                (None, Action::Init(_) | Action::Skip) => repeat(planned, values.len(), &mut hand)?,
            }
        }
        hand.give(Item::End)?;
        at = stretch.end();
    }
    Ok(())
}

/// What others draw: a sequential stream must be brought past it.
fn skip(planned: &[Planned], source: &mut Source) -> Result<(), Stop> {
    let Source::Torch(torch) = source else { return Ok(()) };
    for planned in planned {
        if let Some(plan) = &planned.plan {
            torch.pass(planned, plan).map_err(|error| stop(&planned.entry, error.into()))?;
        }
    }
    Ok(())
}

/// Draws these values of a tensor; a sequential stream all of them.
fn draw(
    planned: &Planned,
    plan: &Plan,
    values: Range<usize>,
    source: &mut Source,
    hand: &mut Hand,
) -> Result<(), Stop> {
    let most = CHUNK / plan.dtype().size();
    let stop = |trouble| stop(&planned.entry, trouble);
    match source {
        Source::Native(_) if values.is_empty() => {}
        // That no two names are one has been checked: `write::check`.
        Source::Native(native) => {
            let prepared = native.tensor(planned.source()).prepare(plan);
            let prepared = prepared.map_err(|error| stop(error.into()))?;
            for (start, size) in Chunks::range(plan.shape(), values, most) {
                hand.give_filled(plan.dtype(), &size, |tensor| prepared.fill_region(&start, tensor), stop)?;
            }
        }
        Source::Torch(sequence) => {
            let torch = sequence.at(planned);
            for piece in pieces(plan, most) {
                hand.give_filled(piece.dtype(), piece.shape(), |tensor| torch.fill(&piece, tensor), stop)?;
            }
        }
    }
    Ok(())
}

/// Integers that count along the last axis.
fn count(planned: &Planned, wanted: Range<usize>, hand: &mut Hand) -> Result<(), Stop> {
    let size = planned.entry.dtype.size();
    let mut at = wanted.start;
    while at < wanted.end {
        let now = (wanted.end - at).min(CHUNK / size);
        let mut values = hand.buffer(now * size)?;
        let steps = (at..at + now).map(|index| planned.step(index) as u64);
        values.integers(size, now, steps).map_err(|full| stop(&planned.entry, full.into()))?;
        hand.give(Item::Values(values))?;
        at += now;
    }
    Ok(())
}

/// The values that another checkpoint has under the same name.
fn copy(
    planned: &Planned,
    wanted: Range<usize>,
    from: Option<&mut (Checkpoint, HashMap<String, usize>)>,
    hand: &mut Hand,
) -> Result<(), Stop> {
    let entry = &planned.entry;
    let missing = || Stop::Error(Error::Request(format!("{}: there is no file to copy it from", entry.name)));
    let (from, numbers) = from.ok_or_else(missing)?;
    let number = *numbers.get(&entry.name).ok_or_else(missing)?;
    let (mut at, end) = (entry.bytes_of(wanted.start), entry.bytes_of(wanted.end));
    while at < end {
        let now = (end - at).min(CHUNK as u64) as usize;
        let mut values = hand.buffer(now)?;
        let bytes = values.raw(now).map_err(|full| stop(entry, full.into()))?;
        from.read(number, at, bytes).map_err(Stop::Error)?;
        hand.give(Item::Values(values))?;
        at += now as u64;
    }
    Ok(())
}

/// So many values of an integer tensor.
fn repeat(planned: &Planned, count: usize, hand: &mut Hand) -> Result<(), Stop> {
    let (value, size) = (planned.integer.unwrap_or_default().to_le_bytes(), planned.entry.dtype.size());
    let mut left = count;
    while left > 0 {
        let now = left.min(CHUNK / size);
        let mut values = hand.buffer(now * size)?;
        values.repeat(&value[..size], now).map_err(|full| stop(&planned.entry, full.into()))?;
        hand.give(Item::Values(values))?;
        left -= now;
    }
    Ok(())
}

fn stop(entry: &Entry, trouble: Trouble) -> Stop {
    Stop::Error(match trouble {
        Trouble::Draw(source) => Error::Tensor { tensor: entry.name.clone(), source },
        Trouble::Memory => {
            let (name, bytes) = (&entry.name, numbers::bytes(entry.bytes()));
            let remedy = "the torch stream draws such a tensor as a whole, the native stream does not";
            Error::Request(format!("{name}: no memory for its {bytes}: {remedy}"))
        }
    })
}

/// What is drawn, and how.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// The tensors of the whole checkpoint.
    pub(super) planned: &'a [Planned],
    /// What has the values of those that are copied.
    pub(super) copies: Option<&'a Path>,
    /// The stream, its seed and the threads.
    pub(super) draw: Draw,
    /// Cancels the write.
    pub(super) cancel: &'a CancelToken,
}

impl Drawing<'_> {
    /// # Errors
    /// `Interrupted` if the write was cancelled.
    pub fn check_cancelled(&self) -> crate::Result {
        if self.cancel.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Draws the tensors of these stretches, which ascend, in a thread of its own, and hands them to `take` in this one.
    ///
    /// # Errors
    /// What the stream cannot draw; what `take` says, after which no more is drawn.
    pub fn pump(
        self,
        stretches: &[TensorRange],
        mut take: impl FnMut(Item) -> crate::Result<Option<Values>>,
    ) -> crate::Result {
        let Drawing { planned, copies, draw: how, .. } = self;
        let pool = match how.threads {
            None => None,
            Some(count) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(count.get()).build();
                Some(pool.map_err(|error| Error::Request(format!("cannot start {count} threads: {error}")))?)
            }
        };
        let copied = planned.iter().any(|planned| planned.action == Action::Copy);
        let copies = copies.filter(|_| copied).map(Checkpoint::open).transpose()?;
        std::thread::scope(|scope| {
            let ((ready, items), (used, empty)) = (channel(), channel());
            let hand = Hand { ready, empty, spare: (0..CHUNKS).map(|_| Values::default()).collect() };
            let maker = scope.spawn(move || {
                let work = || make(planned, stretches, Source::new(how, planned), copies, hand);
                match &pool {
                    Some(pool) => pool.install(work),
                    None => work(),
                }
            });
            let mut taken = Ok(());
            for item in items {
                match take(item) {
                    Ok(Some(values)) => _ = used.send(values),
                    Ok(None) => {}
                    Err(error) => {
                        taken = Err(error);
                        break;
                    }
                }
            }
            // A maker that waits for an empty buffer learns that none will come.
            drop(used);
            match maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(()) | Err(Stop::Unwanted) => taken,
                Err(Stop::Error(error)) => taken.and(Err(error)),
            }
        })
    }
}
