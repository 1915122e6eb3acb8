//! The macro `vectorized`, which declares functions that use the SIMD instructions of the CPU.

/// Declares functions that are compiled once for each SIMD level. A call runs the version for the best level of the
/// CPU. All versions give the same result. A call takes a few nanoseconds more than a call of an ordinary function.
///
/// Only inlined code is compiled for the level. Functions that a body calls must therefore be `#[inline(always)]`, and
/// closures must be small.
macro_rules! vectorized {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) $(-> $output)? {
            struct Call<T>(T);
            impl fanin::Vectorized for Call<($($type,)*)> {
                type Output = vectorized!(@output $($output)?);
                #[inline(always)]
                fn run(self) -> Self::Output {
                    let Self(($($argument,)*)) = self;
                    $body
                }
            }
            fanin::Level::best().run(Call(($($argument,)*)))
        }
    )*};
    (@output) => { () };
    (@output $output:ty) => { $output };
}

pub(crate) use vectorized;
