//! What `orthogonal` needs: products in a fixed order of summation, reflections, and QR.

mod product;
#[cfg(feature = "qr")]
pub(crate) mod qr;
pub(crate) mod reflections;

/// The arithmetic of f32 and f64, for code that is the same for both.
pub(crate) trait Real:
    Copy
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    const ONE: Self;
    fn fused(self, times: Self, plus: Self) -> Self;
    fn root(self) -> Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            const ONE: Self = 1.0;
            #[inline(always)]
            fn fused(self, times: Self, plus: Self) -> Self {
                self.mul_add(times, plus)
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
        }
    };
}
real!(f32);
real!(f64);
