//! How many threads a fill uses, and how it is given up.

mod team;

use crate::cancel::check;
pub use team::Team;

/// The threads that a fill may use. The bits do not depend on it.
///
/// ```
/// use fanin::{Native, Threads, init};
/// let alone = Native::new(0).with_threads(Threads::One);
/// # #[cfg(feature = "rayon")] {
/// // A pool of the caller's own: fills inside `install` use it.
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
/// let mut shared = vec![0f32; 1 << 20];
/// let mut serial = shared.clone();
/// pool.install(|| init::normal(0.0, 1.0).fill(&mut shared, &[1 << 20], &mut Native::new(0).tensor("w")))?;
/// init::normal(0.0, 1.0).fill(&mut serial, &[1 << 20], &mut alone.tensor("w"))?;
/// assert_eq!(shared, serial);
/// # }
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Threads {
    /// Those of the rayon pool that the call is made in: the one of `ThreadPool::install`, else the global one, which
    /// has a thread for each core or as many as RAYON_NUM_THREADS says. Small fills stay on one thread all the same.
    /// Without the feature `rayon` this is `One`, and so it is in a process forked off after a fill: threads do not survive a
    /// fork, and the pool would wait for them.
    #[default]
    Pool,
    /// The calling thread alone.
    One,
    /// Threads of the caller's own, that are no rayon pool. Needs no feature.
    Team(Team),
}

impl Threads {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        self.team().map_or(1, Team::count)
    }

    /// Those beside the calling thread, if there are any.
    fn team(self) -> Option<Team> {
        let team = match self {
            _ if !at_home() => return None,
            #[cfg(feature = "rayon")]
            Threads::Pool => Team::new(rayon::current_num_threads(), pool),
            Threads::Team(team) => team,
            _ => return None,
        };
        (team.count() > 1).then_some(team)
    }

    /// Runs `work` on each of `jobs`, begun in their order (of unequal ones the heaviest come first), and gives back what
    /// comes of them in theirs.
    pub(crate) fn map<J: Send, R: Send>(self, jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
        if jobs.len() > 1
            && let Some(team) = self.team()
        {
            return team.map(jobs, work);
        }
        let work = |job| {
            check();
            work(job)
        };
        jobs.into_iter().map(work).collect()
    }

    /// The same, where nothing comes of them.
    pub(crate) fn in_turn<J: Send>(self, jobs: Vec<J>, work: impl Fn(J) + Sync) {
        self.map(jobs, work);
    }

    /// Runs `work` on stretches of `slice`, each `length` long but for the last, with the place where it begins.
    pub(crate) fn chunks<T: Send>(
        self,
        slice: &mut [T],
        length: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        // A small fill asks for no memory.
        if (1..=length).contains(&slice.len()) {
            check();
            return work(0, slice);
        }
        let chunks = slice.chunks_mut(length).enumerate().collect();
        self.in_turn(chunks, |(number, part): (usize, &mut [T])| work(number * length, part));
    }
}

/// Puts the rayon pool to work that the call is made in, as a [`Team`]'s `run`.
#[cfg(feature = "rayon")]
fn pool(count: usize, work: &(dyn Fn() + Sync)) {
    rayon::scope(|scope| (0..count).for_each(|_| scope.spawn(|_| work())));
}

/// Whether this is the process in which threads were first asked for.
fn at_home() -> bool {
    static HOME: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *HOME.get_or_init(std::process::id) == std::process::id()
}
