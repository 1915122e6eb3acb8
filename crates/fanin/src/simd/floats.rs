//! Numbers and their bits, f32 and f64, one or many: what the functions of `math` are written in. The steps of one value
//! wait for each other, so many values are to go through each step together.

/// Numbers side by side. All methods are `#[inline(always)]`, and do to each number what they would do to one alone.
pub(crate) trait Floats: Copy {
    /// One of them.
    type One: Copy;

    /// As many words.
    type Bits: Bits<Floats = Self>;

    /// Numbers of them.
    const COUNT: usize;

    /// The same number everywhere.
    fn splat(value: Self::One) -> Self;

    /// Writes them to the beginning of a slice.
    fn store(self, to: &mut [Self::One]);

    fn add(self, other: Self) -> Self;

    fn sub(self, other: Self) -> Self;

    fn times(self, other: Self) -> Self;

    fn over(self, other: Self) -> Self;

    /// `self * times + plus`, rounded once.
    fn fused(self, times: Self, plus: Self) -> Self;

    fn sqrt(self) -> Self;

    /// `if self < than { yes } else { no }`.
    fn where_less(self, than: Self, yes: Self, no: Self) -> Self;

    /// `if self < other { self } else { other }`.
    fn lesser(self, other: Self) -> Self;

    /// `if self > other { self } else { other }`.
    fn greater(self, other: Self) -> Self;

    /// `to_bits`.
    fn bits(self) -> Self::Bits;

    /// The same numbers, all of them computed before the next step of any. A compiler that is short of registers would take
    /// one register through all steps, then the next one.
    #[inline(always)]
    fn abreast(self) -> Self {
        self
    }

    /// The same numbers and the others, all of them likewise.
    #[inline(always)]
    fn beside(self, other: Self) -> (Self, Self) {
        (self, other)
    }
}

/// Words side by side, likewise.
pub(crate) trait Bits: Copy {
    /// One of them.
    type One: Copy + From<u8>;

    /// As many numbers.
    type Floats: Floats<Bits = Self>;

    /// The same word everywhere.
    fn splat(word: Self::One) -> Self;

    /// The first words of a slice, each as wide as a word is here.
    fn load(from: &[u32]) -> Self;

    fn and(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    /// The sums, wrapping around.
    fn add(self, other: Self) -> Self;

    /// The differences, likewise.
    fn sub(self, other: Self) -> Self;

    /// Each word shifted up.
    fn left(self, bits: u32) -> Self;

    /// Each word shifted down.
    fn right(self, bits: u32) -> Self;

    /// `from_bits`.
    fn floats(self) -> Self::Floats;

    /// The numbers nearest to the words, read as signed ones; those of 64 bits less than 2^51 in size.
    fn signed(self) -> Self::Floats;

    /// The numbers nearest to the words; those of 64 bits less than 2^51.
    fn unsigned(self) -> Self::Floats;

    /// `yes` where the highest bit is set.
    fn where_highest(self, yes: Self::Floats, no: Self::Floats) -> Self::Floats;
}

/// f32 numbers.
pub(crate) trait Singles: Floats<One = f32, Bits: Words> {
    /// The words of numbers in [0, 2^31) without their fractions.
    fn whole(self) -> Self::Bits;
}

/// Their bits.
pub(crate) trait Words: Bits<One = u32> {
    /// Each word, read as a signed one, shifted down.
    fn right_signed(self, bits: u32) -> Self;
}

/// f64 numbers.
pub(crate) trait Doubles: Floats<One = f64, Bits: Bits<One = u64>> {}

impl<F: Floats<One = f64, Bits: Bits<One = u64>>> Doubles for F {}

/// One number: for every CPU, by loops that the compiler makes vectors of.
macro_rules! one {
    ($float:ident, $word:ident, $signed:expr, $unsigned:expr) => {
        impl Floats for $float {
            type One = $float;
            type Bits = $word;

            const COUNT: usize = 1;

            #[inline(always)]
            fn splat(value: $float) -> Self {
                value
            }

            #[inline(always)]
            fn store(self, to: &mut [$float]) {
                to[0] = self;
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn over(self, other: Self) -> Self {
                self / other
            }

            #[inline(always)]
            fn fused(self, times: Self, plus: Self) -> Self {
                self.mul_add(times, plus)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }

            #[inline(always)]
            fn where_less(self, than: Self, yes: Self, no: Self) -> Self {
                if self < than { yes } else { no }
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                if self < other { self } else { other }
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                if self > other { self } else { other }
            }

            #[inline(always)]
            fn bits(self) -> $word {
                self.to_bits()
            }
        }

        impl Bits for $word {
            type One = $word;
            type Floats = $float;

            #[inline(always)]
            fn splat(word: $word) -> Self {
                word
            }

            #[inline(always)]
            fn load(from: &[u32]) -> Self {
                from[0].into()
            }

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            #[inline(always)]
            fn left(self, bits: u32) -> Self {
                self << bits
            }

            #[inline(always)]
            fn right(self, bits: u32) -> Self {
                self >> bits
            }

            #[inline(always)]
            fn floats(self) -> $float {
                $float::from_bits(self)
            }

            #[inline(always)]
            fn signed(self) -> $float {
                $signed(self)
            }

            #[inline(always)]
            fn unsigned(self) -> $float {
                $unsigned(self)
            }

            #[inline(always)]
            fn where_highest(self, yes: $float, no: $float) -> $float {
                if self >> ($word::BITS - 1) != 0 { yes } else { no }
            }
        }
    };
}

one! { f32, u32, |word| word as i32 as f32, |word| word as f32 }
one! { f64, u64, small, small }

impl Singles for f32 {
    #[inline(always)]
    fn whole(self) -> u32 {
        self as i32 as u32
    }
}

impl Words for u32 {
    #[inline(always)]
    fn right_signed(self, bits: u32) -> Self {
        (self.cast_signed() >> bits).cast_unsigned()
    }
}

/// 3 * 2^51: among the numbers about it, units are the last places.
pub(super) const UNITS: f64 = 6_755_399_441_055_744.0;

/// A signed number of less than 52 bits. Vectors of older CPUs convert none of 64.
#[inline(always)]
fn small(word: u64) -> f64 {
    f64::from_bits(word.wrapping_add(UNITS.to_bits())) - UNITS
}
