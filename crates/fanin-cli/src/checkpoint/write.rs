//! Writing checkpoints: streamed, one thread making values while another writes.

use std::collections::TryReserveError;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use fanin::{Law, Native, Plan, Stream as _, Torch};

use super::boxes::Boxes;
use super::values::Values;
use super::{Target, header};
use crate::args::StreamName;
use crate::error::{Error, Result};
use crate::manifest::{Entry, LARGEST};
use crate::recipe::Planned;
use crate::report::{numbers, progress::Progress};

/// Values that are made and written at a time: memory does not grow with the checkpoint.
const CHUNK: usize = 1 << 21;

/// Refuses what could not be written to its end, before anything is.
///
/// # Errors
/// More bytes than a file can have; on the native stream, two names that are one, and an algorithm that it lacks.
pub fn check(planned: &[Planned], stream: StreamName) -> Result {
    let total = planned.iter().try_fold(0u64, |total, planned| total.checked_add(planned.entry.bytes()));
    if total.is_none_or(|total| total > LARGEST) {
        return Err(Error::Request(format!(
            "the tensors take more than {LARGEST} bytes: no file has as many"
        )));
    }
    if stream == StreamName::Native {
        let mut job = Native::new(0).job();
        for planned in planned {
            let name = &planned.entry.name;
            let wrong = |source| Error::Tensor { tensor: name.clone(), source };
            let tensor = job.tensor(name).map_err(wrong)?;
            // To prepare any other plan costs nothing.
            if let Some(plan) =
                planned.plan.as_ref().filter(|plan| !matches!(plan.law(), Law::Orthogonal { .. }))
            {
                tensor.prepare(plan).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// Whoever wants a checkpoint no longer sets this, and what is being written ends with [`Error::Interrupted`]. The
/// command line ends its process instead; this is for processes that live on.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How the values are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The stream.
    pub stream: StreamName,
    /// Its seed.
    pub seed: u64,
    /// On so many threads, or on all cores.
    pub threads: Option<NonZeroUsize>,
}

/// Why no more values are made.
enum Stop {
    /// Nobody takes them: the writer has something to say.
    Unwanted,
    Error(Error),
}

/// What makes the values.
enum Source {
    Native(fanin::Job),
    Torch(Torch),
}

impl Source {
    /// Makes the values of a tensor and hands them on, a chunk at a time.
    fn draw(
        &mut self,
        entry: &Entry,
        plan: &Plan,
        give: impl Fn(Values) -> std::result::Result<(), Stop>,
    ) -> std::result::Result<(), Stop> {
        let wrong = |source| Stop::Error(Error::Tensor { tensor: entry.name.clone(), source });
        let full = |_: TryReserveError| {
            let (name, bytes) = (&entry.name, numbers::bytes(entry.bytes()));
            let remedy = "the torch stream draws a whole tensor at a time, --stream native does not";
            Stop::Error(Error::Request(format!("{name}: no memory for its {bytes}: {remedy}")))
        };
        match self {
            Source::Native(job) => {
                let prepared =
                    job.tensor(&entry.name).and_then(|tensor| tensor.prepare(plan)).map_err(wrong)?;
                for (start, size) in Boxes::new(plan.shape(), CHUNK) {
                    let mut values = Values::new(plan.dtype(), size.iter().product()).map_err(full)?;
                    values
                        .tensor(&size)
                        .and_then(|tensor| prepared.fill_box(&start, tensor))
                        .map_err(wrong)?;
                    give(values)?;
                }
            }
            // A sequential stream fills whole tensors.
            Source::Torch(torch) => {
                let mut values = Values::new(plan.dtype(), plan.len()).map_err(full)?;
                values.tensor(plan.shape()).and_then(|tensor| torch.fill(plan, tensor)).map_err(wrong)?;
                give(values)?;
            }
        }
        Ok(())
    }
}

/// Makes the values of one tensor after another.
fn make(
    planned: &[Planned],
    source: &mut Source,
    give: impl Fn(Values) -> std::result::Result<(), Stop>,
) -> std::result::Result<(), Stop> {
    for planned in planned {
        let entry = &planned.entry;
        if let Some(plan) = &planned.plan {
            source.draw(entry, plan, &give)?;
            continue;
        }
        let (value, size) = (planned.integer.unwrap_or_default().to_le_bytes(), entry.dtype.size());
        let mut left = entry.values();
        while left > 0 {
            let now = left.min(CHUNK);
            give(Values::Integers(value[..size].repeat(now), size))?;
            left -= now;
        }
    }
    Ok(())
}

/// Writes a checkpoint of these tensors. In memory at a time: two chunks on the native stream (and for `orthogonal`
/// what its factorization takes), two of the file's tensors on torch's.
///
/// # Errors
/// As [`check`], what the stream cannot draw, what the system says to writing. The target is then as it was.
pub fn checkpoint(
    target: &Target,
    planned: &[Planned],
    metadata: &[(String, String)],
    Draw { stream, seed, threads }: Draw,
    progress: &Progress,
) -> Result {
    check(planned, stream)?;
    let pool = match threads {
        None => None,
        Some(count) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count.get()).build();
            Some(pool.map_err(|error| Error::Request(format!("--threads {count}: {error}")))?)
        }
    };
    let entries: Vec<_> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let mut file = target.begin()?;
    file.write(&header::bytes(&entries, metadata))?;
    let mut source = match stream {
        StreamName::Native => Source::Native(Native::new(seed).job()),
        StreamName::Torch => Source::Torch(Torch::new(seed)),
    };
    std::thread::scope(|scope| {
        // Without a queue: what is written and what is being made is all there is.
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Values>(0);
        let maker = scope.spawn(move || {
            let mut work =
                || make(planned, &mut source, |values| sender.send(values).map_err(|_| Stop::Unwanted));
            let made = match &pool {
                Some(pool) => pool.install(&mut work),
                None => work(),
            };
            drop(sender);
            made
        });
        let mut written = Ok(());
        for values in receiver {
            let bytes = values.bytes();
            written = if INTERRUPTED.load(Ordering::Relaxed) {
                Err(Error::Interrupted)
            } else {
                file.write(&bytes)
            };
            if written.is_err() {
                break;
            }
            progress.add(values.count() as u64, bytes.len() as u64);
        }
        match maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            Ok(()) | Err(Stop::Unwanted) => written,
            Err(Stop::Error(error)) => written.and(Err(error)),
        }
    })?;
    file.finish()
}
