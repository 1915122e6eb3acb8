//! Tests that the values and the final state of the generator do not depend on the number of threads.

#![cfg(feature = "rayon")]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{Buffer, plan};
use fanin::{DType, Native, Stream as _, Team, TensorMut, Threads, Torch};

/// The number of values of a long tensor: enough for several threads, and for the Mersenne Twister to jump ahead. It is
/// not a multiple of any block size.
const LONG: usize = (9 << 20) + 21;

/// The number of values of a short tensor: enough for several threads, but too few for the Mersenne Twister to jump
/// ahead.
const SHORT: usize = (3 << 18) + 37;

/// The threads on which a fill runs: the calling thread alone, a thread pool of rayon, or threads that the caller
/// supplies.
#[derive(Debug, Clone, Copy)]
enum Crew {
    Alone,
    Pool(usize),
    Team(usize),
}

/// Calls `work` on `count` new threads. The teams in these tests use this function to run work on their threads.
fn scoped(count: usize, work: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(work);
        }
    });
}

/// Fills a tensor on the threads of `crew`, from the torch stream if `torch` is true, else from the native stream.
/// Returns the bytes of the values, and for the torch stream the generator after the fill.
fn fill(crew: Crew, spec: &str, shape: &[usize], dtype: DType, torch: bool) -> (Vec<u8>, Option<Torch>) {
    let mut buffer = Buffer::new(dtype, shape.iter().product());
    let plan = plan(spec, shape, dtype).unwrap();
    let mut work = |threads| {
        if torch {
            let mut generator = Torch::new(5).with_threads(threads);
            generator.fill(&plan, buffer.tensor(shape)).unwrap();
            Some(generator.with_threads(Threads::Pool))
        } else {
            Native::new(5).with_threads(threads).tensor("w").fill(&plan, buffer.tensor(shape)).unwrap();
            None
        }
    };
    let generator = match crew {
        Crew::Alone => work(Threads::One),
        Crew::Team(count) => work(Threads::Team(Team::new(count, scoped))),
        Crew::Pool(count) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| work(Threads::Pool))
        }
    };
    (buffer.bytes(), generator)
}

#[test]
fn values_do_not_depend_on_the_number_of_threads() {
    let wide = [3000, 1300];
    for (spec, shape, dtypes, torch) in [
        ("uniform(a=-1, b=2)", &[LONG][..], &[DType::F32, DType::BF16][..], true),
        ("normal(std=0.02)", &[LONG], &[DType::F32, DType::F16], true),
        ("uniform(a=-1, b=2)", &[SHORT], &DType::ALL, true),
        ("normal(std=0.02)", &[SHORT], &DType::ALL, true),
        ("trunc_normal", &[SHORT], &[DType::F32, DType::BF16], true),
        ("normal", &[LONG / 2], &[DType::F64], true),
        ("trunc_normal", &[LONG / 2], &[DType::F32], true),
        ("trunc_normal(a=2, b=3)", &[LONG / 8], &DType::ALL, true),
        ("normal", &[LONG / 4], &DType::ALL, false),
        ("trunc_normal(a=2, b=3)", &[LONG / 4], &[DType::F32, DType::F64], false),
        ("sparse(0.3)", &wide, &[DType::F32], false),
        ("sparse(0.9)", &wide, &[DType::F32, DType::F16], true),
        ("orthogonal", &[700, 1100], &[DType::F32, DType::F64], false),
        ("orthogonal", &[1500, 600], &[DType::F32, DType::BF16], false),
        ("constant(0.7)", &[LONG], &[DType::F32, DType::BF16], false),
    ] {
        for &dtype in dtypes {
            let alone = fill(Crew::Alone, spec, shape, dtype, torch);
            for crew in [Crew::Pool(2), Crew::Pool(7), Crew::Team(2), Crew::Team(5)] {
                assert!(alone == fill(crew, spec, shape, dtype, torch), "{spec} {dtype} {crew:?} {torch}");
            }
        }
    }
}

/// The number of nested calls of the function `watchful`: calls from inside the `work` of an outer call. In a thread
/// pool, nested calls can deadlock.
static NESTED: AtomicUsize = AtomicUsize::new(0);

fn watchful(count: usize, work: &(dyn Fn() + Sync)) {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    if INSIDE.get() {
        NESTED.fetch_add(1, Relaxed);
    }
    scoped(count, &|| {
        INSIDE.set(true);
        work();
    });
}

#[test]
fn a_team_is_not_called_from_inside_its_own_work() {
    let team = Threads::Team(Team::new(2, watchful));
    for (spec, shape, strides) in [
        // In the first of these cases, one slice along the first axis has enough values for two threads.
        ("normal", &[2, 70_000, 70][..], &[70_000, 1, 140_000][..]),
        ("normal", &[2, 70_000, 5], &[70_000, 1, 140_000]),
        ("sparse(0.5)", &[300, 900], &[1, 300]),
        ("orthogonal", &[400, 300], &[1, 400]),
        ("trunc_normal", &[1000, 700], &[700, 1]),
        ("blocks(400: orthogonal, 600: normal, axis=-1)", &[300, 1000], &[1000, 1]),
    ] {
        let plan = plan(spec, shape, DType::F32).unwrap();
        let fill = |threads, torch: bool| {
            let mut memory = vec![0f32; plan.len()];
            let tensor = TensorMut::strided(&mut memory, shape, strides, 0).unwrap();
            if torch {
                Torch::new(1).with_threads(threads).fill(&plan, tensor).unwrap();
            } else {
                Native::new(1).with_threads(threads).tensor("w").fill(&plan, tensor).unwrap();
            }
            memory
        };
        for torch in [false, true] {
            let bits = fill(team, torch) == fill(Threads::One, torch);
            assert!(bits || (torch && spec.contains("orthogonal")), "{spec} {shape:?} {torch}");
            assert_eq!(NESTED.load(Relaxed), 0, "{spec} {shape:?} {torch}");
        }
    }
}

#[test]
fn large_regions_equal_slices_for_any_number_of_threads() {
    let (shape, start, size) = ([1500, 4001], [3, 77], [1450, 3900]);
    for spec in ["normal(std=0.02)", "uniform", "trunc_normal", "trunc_normal(a=2, b=3)", "sparse(0.3)"] {
        for dtype in [DType::F32, DType::BF16, DType::F64] {
            let plan = plan(spec, &shape, dtype).unwrap();
            let mut whole = Buffer::new(dtype, plan.len());
            Torch::new(5).with_threads(Threads::One).fill(&plan, whole.tensor(&shape)).unwrap();
            let expected = whole.at(&common::indices(&shape, &start, &size)).bytes();
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut part = Buffer::new(dtype, size.iter().product());
                pool.install(|| Torch::new(5).peek_region(&plan, &start, part.tensor(&size))).unwrap();
                assert!(part.bytes() == expected, "{spec} {dtype} {threads}");
            }
        }
    }
}
