//! Tests that a fill ends soon after its token is cancelled, with every stream and most distributions.

use std::time::{Duration, Instant};

use fanin::{
    CancelToken, DType, Distribution, Initializer as _, Native, Plan, Stream, TensorMut, Threads, Torch, init,
};

/// A test case: the name, a plan that takes long to fill, and a function that returns the stream.
type Case = (&'static str, Plan, fn(Threads) -> Box<dyn Stream>);

fn cases() -> Vec<Case> {
    let native: fn(Threads) -> Box<dyn Stream> =
        |threads| Box::new(Native::new(0).with_threads(threads).tensor("w"));
    let torch: fn(Threads) -> Box<dyn Stream> = |threads| Box::new(Torch::new(0).with_threads(threads));
    let plan = |init: init::Init, shape: &[usize]| init.resolve(shape, DType::F32).unwrap();
    let flat = [1 << 26];
    let square = [1 << 13, 1 << 13];
    vec![
        ("native normal", plan(init::normal(0.0, 1.0).into(), &flat), native),
        ("native sparse", plan(init::sparse(0.5).into(), &square), native),
        ("native orthogonal", plan(init::orthogonal().into(), &[6000, 6000]), native),
        ("torch normal", plan(init::normal(0.0, 1.0).into(), &flat), torch),
        ("torch uniform", plan(init::uniform(0.0, 1.0).into(), &flat), torch),
        ("torch trunc_normal", plan(init::trunc_normal(0.0, 1.0).into(), &flat), torch),
        // Rejection sampling accepts fewer than one proposal in 10^13 here, so this fill would take years.
        ("torch tail", plan(init::trunc_normal(0.0, 1.0).bounds(5.0, 5e12).into(), &[2048]), torch),
        ("torch orthogonal", plan(init::orthogonal().into(), &[6000, 6000]), torch),
        ("torch sparse", plan(init::sparse(0.5).into(), &square), torch),
    ]
}

#[test]
fn a_cancelled_token_ends_fills() {
    for threads in [Threads::Pool, Threads::One] {
        for (name, plan, stream) in cases() {
            let (token, mut memory) = (CancelToken::new(), vec![0f32; plan.len()]);
            let begun = Instant::now();
            let filled = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(5));
                    token.cancel();
                });
                token.run(|| {
                    let tensor = TensorMut::contiguous(&mut memory, plan.shape()).unwrap();
                    stream(threads).fill(&plan, tensor)
                })
            });
            assert!(filled.is_none_or(|filled| filled.is_ok()), "{name}");
            assert!(token.run(|| ()).is_none(), "{name}");
            // The fill ends within milliseconds of the cancellation. The bound of 20 seconds allows for a busy machine.
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} took {:?}", begun.elapsed());
        }
    }
}

#[test]
fn every_long_fill_checks_the_token() {
    let plan = |distribution, shape: &[usize]| Plan::new(shape, DType::F32, distribution).unwrap();
    let inverse = init::trunc_normal(0.0, 1.0).method(fanin::Truncation::InverseCdf);
    let (long, square) = ([1 << 18], [1 << 9, 1 << 9]);
    for (name, plan) in [
        ("constant", plan(Distribution::Constant { value: 2.0 }, &long)),
        ("eye", plan(Distribution::Eye, &square)),
        ("hadamard", plan(Distribution::Hadamard { scale: 1.0 }, &square)),
        ("repeated eye", plan(Distribution::RepeatedEye { value: 1.0 }, &square)),
        ("uniform", plan(Distribution::Uniform { low: 0.0, high: 1.0 }, &long)),
        ("normal", plan(Distribution::Normal { mean: 0.0, std: 1.0 }, &long)),
        ("trunc_normal by the inverse distribution function", inverse.resolve(&long, DType::F32).unwrap()),
        ("orthogonal", plan(Distribution::Orthogonal { gain: 1.0 }, &square)),
    ] {
        // `step` is the distance between neighbouring elements in memory: 1 for contiguous memory, or 2.
        for step in [1, 2] {
            let fill = |stream: &mut dyn Stream| {
                let mut memory = vec![7f32; step * plan.len()];
                let mut strides: Vec<isize> = vec![step as isize; plan.shape().len()];
                if let [row, _] = strides.as_mut_slice() {
                    *row *= plan.shape()[1] as isize;
                }
                let (token, mut ended) = (CancelToken::new(), false);
                let filled = token.run(|| {
                    token.cancel();
                    let tensor = TensorMut::strided(&mut memory, plan.shape(), &strides, 0).unwrap();
                    stream.fill(&plan, tensor).unwrap();
                    ended = true;
                });
                assert!(filled.is_none() && !ended, "{name} {step}");
            };
            for threads in [Threads::Pool, Threads::One] {
                fill(&mut Native::new(0).with_threads(threads).tensor("w"));
                fill(&mut Torch::new(0).with_threads(threads));
            }
            #[cfg(feature = "rand_core")]
            fill(&mut fanin::FromRng::new(&mut Torch::new(0)));
        }
    }
}

#[test]
fn a_token_that_is_not_cancelled_changes_nothing() {
    for (name, plan, stream) in [
        ("normal", init::normal(0.0, 1.0).resolve(&[3 << 20], DType::F32).unwrap(), Torch::new(1)),
        ("sparse", init::sparse(0.3).resolve(&[900, 2500], DType::F32).unwrap(), Torch::new(1)),
    ] {
        let (mut guarded, mut free) = (vec![0f32; plan.len()], vec![0f32; plan.len()]);
        let (mut one, mut other) = (stream.clone(), stream);
        CancelToken::new().run(|| plan.fill(&mut guarded, &mut one)).expect("not cancelled").unwrap();
        plan.fill(&mut free, &mut other).unwrap();
        assert_eq!((guarded, one), (free, other), "{name}");
    }
}

#[test]
fn only_fills_that_run_under_the_token_are_cancelled() {
    let token = CancelToken::new();
    token.cancel();
    let plan = init::normal(0.0, 1.0).resolve(&[3 << 20], DType::F32).unwrap();
    let mut memory = vec![0f32; plan.len()];
    assert!(token.run(|| plan.fill(&mut memory, &mut Torch::new(0))).is_none());
    plan.fill(&mut memory, &mut Torch::new(0)).unwrap();
    let other = CancelToken::new();
    assert!(other.run(|| plan.fill(&mut memory, &mut Torch::new(0))).is_some());
    assert!(std::panic::catch_unwind(|| other.run(|| panic!("its own"))).is_err());
}
