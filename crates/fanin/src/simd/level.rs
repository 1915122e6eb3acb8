//! The SIMD levels, and the detection of the levels that this CPU supports.

use std::sync::OnceLock;

/// A SIMD level: a set of CPU instructions for which the kernels are compiled.
///
/// The level affects only the speed of a fill. The values of a fill do not depend on the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// The instructions that every CPU of the compilation target supports.
    Scalar,
    /// The instructions of x86-64 with AVX2, FMA, F16C, BMI1 and BMI2.
    Avx2,
    /// The instructions of [`Level::Avx2`], and AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Level {
    /// Returns the levels that this CPU supports, in ascending order. The first level is always [`Level::Scalar`].
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(detect)
    }

    /// Returns the highest level that this CPU supports.
    pub fn best() -> Level {
        *Level::available().last().expect("the scalar level is always available")
    }

    /// Returns `true` if this CPU supports this level.
    pub fn is_available(self) -> bool {
        Level::available().contains(&self)
    }

    /// Returns this level if this CPU supports the level, and [`Level::best`] otherwise.
    pub(crate) fn or_best(self) -> Level {
        if self.is_available() { self } else { Level::best() }
    }
}

/// Returns the levels that this CPU supports, in ascending order.
#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<Level> {
    let mut levels = vec![Level::Scalar];
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    levels.extend(avx2.then_some(Level::Avx2));
    levels.extend(avx512.then_some(Level::Avx512));
    levels
}

/// Returns the levels that this CPU supports. On this target there is only the scalar level.
#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Vec<Level> {
    vec![Level::Scalar]
}
