//! How many threads a fill uses, and how it is given up.

mod stop;
mod team;

pub use stop::Stop;
#[cfg(feature = "rayon")]
use stop::Watch;
pub(crate) use stop::checkpoint;
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
        match self {
            #[cfg(feature = "rayon")]
            Threads::Pool if at_home() => rayon::current_num_threads(),
            Threads::Team(team) if at_home() => team.count(),
            _ => 1,
        }
    }

    /// The team that shares work of several jobs, if it is a team's.
    fn team(self, several: bool) -> Option<Team> {
        match self {
            Threads::Team(team) if several && self.count() > 1 => Some(team),
            _ => None,
        }
    }

    /// Runs `work` on each of `jobs`, in any order, and gives back what comes of them in theirs.
    pub(crate) fn map<J: Send, R: Send>(self, jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
        if let Some(team) = self.team(jobs.len() > 1) {
            return team.map(jobs, work);
        }
        #[cfg(feature = "rayon")]
        if jobs.len() > 1 && self.count() > 1 {
            use rayon::prelude::*;
            let watch = Watch::current();
            let work = |job| watch.over(|| work(job));
            return jobs.into_par_iter().with_max_len(1).map(work).collect();
        }
        let work = |job| {
            checkpoint();
            work(job)
        };
        jobs.into_iter().map(work).collect()
    }

    /// Runs `work` on each of `jobs`, begun in their order: for few and unequal ones, the heaviest first.
    pub(crate) fn in_turn<J: Send>(self, jobs: Vec<J>, work: impl Fn(J) + Sync) {
        if let Some(team) = self.team(jobs.len() > 1) {
            team.map(jobs, work);
            return;
        }
        #[cfg(feature = "rayon")]
        if jobs.len() > 1 && self.count() > 1 {
            use rayon::prelude::*;
            let watch = Watch::current();
            return jobs.into_iter().par_bridge().for_each(|job| watch.over(|| work(job)));
        }
        for job in jobs {
            checkpoint();
            work(job);
        }
    }

    /// Runs `work` on stretches of `slice`, each `length` long but for the last, with the place where it begins.
    pub(crate) fn chunks<T: Send>(
        self,
        slice: &mut [T],
        length: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        if let Some(team) = self.team(slice.len() > length) {
            team.map(slice.chunks_mut(length).enumerate().collect(), |(number, part): (usize, &mut [T])| {
                work(number * length, part);
            });
            return;
        }
        #[cfg(feature = "rayon")]
        if slice.len() > length && self.count() > 1 {
            use rayon::prelude::*;
            let watch = Watch::current();
            let chunks = slice.par_chunks_mut(length).with_max_len(1).enumerate();
            return chunks.for_each(|(number, part)| watch.over(|| work(number * length, part)));
        }
        for (number, part) in slice.chunks_mut(length).enumerate() {
            checkpoint();
            work(number * length, part);
        }
    }
}

/// Whether this is the process in which threads were first asked for.
fn at_home() -> bool {
    static HOME: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *HOME.get_or_init(std::process::id) == std::process::id()
}
