//! The native stream, version 1.
//!
//! The stream is counter-based (Philox): the value at a row-major index of the tensor called `name` under `seed`
//! depends on the index, the name and the seed only. Threads, chunks, shards, hosts and CPU models do not change the
//! value. This page defines the stream in enough detail to implement it again.
//!
//! # Keys
//! For each tensor and purpose, BLAKE3 hashes the bytes
//!
//! ```text
//! "fanin native stream" (19 bytes) | version 1 (u32) | length of purpose (u32) | purpose
//!     | seed (u64) | length of name (u64) | name (UTF-8)
//! ```
//!
//! with all integers little-endian. The first sixteen bytes of the hash are four little-endian words: the two words of
//! a Philox4x32-10 key, then words 2 and 3 of the counter. Counter words 0 and 1 are the block number, low half first.
//! The name is first converted to its canonical form, without the path components of wrapper modules
//! ([`canonical_name`]). The purposes are `values32` for all types but f64, `values64` for f64, `permutation` for the
//! zeros of `sparse`, and `reflections32` and `reflections64` (f64) for `orthogonal`.
//!
//! # Words
//! A Philox block consists of four words. Sixteen blocks form a **group**. Divisions round down.
//!
//! An f32 value takes one word. The value at index i is in group `i / 64`. With `o = i mod 64` the value comes from
//! word `o / 16` of block `16 * (i / 64) + o mod 16`. An f64 value takes two words. The value at index i is in group
//! `i / 32`. With `o = i mod 32` the value comes from words `2 * (o / 16)` (high) and `2 * (o / 16) + 1` (low) of block
//! `16 * (i / 32) + o mod 16`.
//!
//! Below, `w` is a word, `s(w)` the signed integer of the same bits, and `W = high * 2^32 + low` the integer of two
//! words. The type of the arithmetic is f64 for f64 values, and f32 for values of all other types. Every step rounds to
//! nearest in this type, including the addition of 1/2 and the conversion of an integer. A fused multiply-add
//! `fma(x, y, z)` rounds once. A value of f16, bf16 or an eight-bit type is the f32 value at the same index, rounded
//! once, ties to even.
//!
//! **Clamping.** The last step of uniform and truncated normal values clamps them to [least, greatest], before they are
//! rounded to the element type. `least` is the least f32 (f64 for f64 values) that is not below a. `greatest` is the
//! greatest one that is below b (uniform) or not above b (truncated normal). If there is none in the interval, both are
//! the one nearest to the middle of a and b. Bounds of a truncated normal that are not finite in the element type are
//! first replaced by its largest finite value, with the bound's sign.
//!
//! So values of narrow types are always the rounded f32 values, and each has the probability of the interval that
//! rounds to it. A value can be outside of the bounds by half the distance between neighbouring values of the element
//! type. In particular, uniform values of a narrow type can equal b: in bf16, 1 in 1024 values of U[-1/2, 1/2).
//!
//! # uniform
//! f32: the value is `fma(s(w), scale, middle)`. `scale = (b - a) / 2^32` and `middle = a / 2 + b / 2` are computed in
//! f64 and rounded to f32. f64: the formulas are the same, with `fma(s(high), 2^32, low)` in place of s(w), and 2^64 in
//! place of 2^32. If a = b, every value is a.
//!
//! # normal
//! The Box-Muller transform gives two standard normals, `z = r * cos(t)` and `z = r * sin(t)`. The value is
//! `fma(z, std, mean)`.
//!
//! f32: words 0 and 1 of a block are one pair, and words 2 and 3 are another. The cosine gives the value that belongs
//! to the first word of a pair, and the sine gives the value that belongs to the second word. With w the first and w'
//! the second word of a pair, `r = sqrt(-2 * ln(u))`, `u = min(w + 1/2, 2^32 - 2^8) / 2^32`, and
//! `t = 2 * pi * (w' + 1/2) / 2^32`. The angle is reduced in integers. The number of quarter turns is
//! `q = ((w' + 2^29) mod 2^32) / 2^30`. The remainder is `(w' - 2^30 * q) mod 2^32` as a signed integer, plus 1/2. It
//! is multiplied by `2 * pi / 2^32`.
//!
//! f64: words 0 and 1 of a block are the radius, `u = min(W + 1/2, 2^64 - 2^11) / 2^64`. Words 2 and 3 are the angle,
//! `t = 2 * pi * (W' + 1/2) / 2^64`, where the remainder after the quarter turns is
//! `fma(s(high), 2^32, low + 1/2) * (2 * pi / 2^64)`. The cosine gives the value that belongs to words 0 and 1, and the
//! sine gives the value that belongs to words 2 and 3.
//!
//! # trunc_normal
//! The inverse distribution function is applied to one uniform draw for each value. In standard units the bounds are
//! `alpha = (a - mean) / std` and `beta = (b - mean) / std`. If `alpha + beta < 0`, the interval is reflected. `near`
//! is `alpha`, or `-beta` if reflected, and the *near* bound is a, or b if reflected. `u` is `(w + 1/2) / 2^32`, in f64
//! `(W + 1/2) / 2^64`. `u'` is computed in the same way from the complemented words, so that `u'` equals 1 - u to full
//! relative precision. The first row of this table whose condition holds applies to the whole tensor:
//!
//! | regime | where | value |
//! |---|---|---|
//! | point | near > 1e150 | the near bound |
//! | flat | width * max(1, \|near\|) <= 2^-26, width = (b - a) / std | uniform on [a, b] |
//! | tail | near >= 5, or width < 2^-26 | `fma(delta, std, a)`, or `fma(delta, -std, b)` if reflected; delta is the distance from the near bound |
//! | body | all types but f64; width >= 1/8; w* < 24.5 | `fma(z, std, mean)`, z the f32 quantile |
//! | centre | otherwise | `fma(z, std, mean)`, z the f64 quantile (Wichura 1988, AS 241), rounded to the type last |
//!
//! *Centre and body.* `below = P(Z < alpha)` and `above = P(Z > beta)` are computed by the complementary error
//! function. `mass` is the probability between them. The tails at u are `lower = fma(u, mass, below)` and
//! `upper = fma(u', mass, above)`. The smaller one is the quantile's tail. In f32 both tails use `(w + 2^31) mod 2^32`
//! in place of w, and the signed distance from the median is `x = fma(s(w) + 1/2, 2 * mass / 2^32, below - above)`.
//! `w*` is `-ln(4 * t * (1 - t))` at the smallest tail `t = min(below, above) + mass / 2^33`. The quantile's polynomial
//! for tails is not evaluated where `w* < 5.249`.
//!
//! *Tail.* `delta` solves `g(delta) = -ln(1 - u * m)`. Here M is the Mills ratio, `h(z) = ln(z * M(z))`, and
//! `g(delta) = delta * (near + delta / 2) + ln(1 + delta / near) - h(near + delta) + h(near)`, which is minus the
//! logarithm of the fraction of the upper tail that is beyond `near + delta`. `m` is `1 - exp(-g(width))`. The equation
//! is solved by four Newton steps from `2 * E / (sqrt(near^2 + 2 * E) + near)`, where E is the right-hand side. An
//! interval narrower than 2^-26 takes `delta = E / near` with `m = 1 - exp(-near * width)`. The arithmetic is f64; the
//! value is rounded to the type last.
//!
//! # sparse
//! The entry at an index is the normal value at that index, or 0. In each column, `zeros` rows are 0. The words under
//! `permutation` pick these rows for each column c.
//!
//! If there are at most 256 rows, a forward Fisher-Yates shuffle of the row indices 0..rows picks the rows. Step
//! `t = 0, 1, .., zeros - 1` swaps entry t with entry `t + word mod (rows - t)`, where the word is word `t mod 4` of
//! block `64 * c + t / 4`. The rows in the first `zeros` entries are picked.
//!
//! If there are more than 256 rows, row r is picked if its image under a permutation of 0..rows is below `zeros`. The
//! permutation is a Feistel network with cycle walking, where `2^(bits-1) < rows <= 2^bits`. An index is split into
//! `left`, its upper `bits / 2` bits (rounded down), and `right`, its other bits. Round i = 0, 1, .., 11 takes word
//! `i mod 4` of block c as its key. The round is `left ^= F(right)` for even i and `right ^= F(left)` for odd i,
//! truncated to the number of bits of the half. `F(x)` is `mix(x + key + i * 0x9E3779B9)`, where mix is MurmurHash3's
//! 32-bit finalizer. An image that is not below `rows` is permuted again.
//!
//! # orthogonal
//! `m` is `max(rows, rest)` and `n` is `min(rows, rest)`, where `rest` is the product of the trailing sizes. Entry (i,
//! j) of an m by n matrix X is the standard normal value at index `i * n + j` under `reflections32` (`reflections64`).
//! The entries of column j from row j on are a vector x_j. `v_j` is `x_j + sign(x_jj) * |x_j| * e_j`, with sign(0) = 1.
//! V is the matrix that has the columns v_j, and V_top is the first n rows of V. `striu` keeps the entries above the
//! diagonal. With `S = striu(V^T * V) + diag(|x_j| * (|x_j| + |x_jj|))` and `W = S^-1 * V_top^T`, the matrix is
//! `Q[i][c] = (delta_ic - sum_k V[i][k] * W[k][c]) * -sign(x_cc) * gain`, transposed if rows < rest. Each sum starts at
//! 0 and adds one term after another by fused multiply-adds in the type of the arithmetic. The terms of `|x_j|^2` and
//! of `V^T * V` are added by row, ascending. The terms of Q are added by k, ascending. The rows of W are computed from
//! the last to the first. Row j starts as row j of V_top^T. Then `S[j][k] * W[k]` is subtracted for each k from the
//! last down to j + 1, and the result is divided by `S[j][j]`.
//!
//! # log_uniform, and functions of values
//! `log(spec)`, `exp(spec)` and `softplus_inverse(spec)` draw the values of the inner spec as for an f64 tensor of the same
//! name and shape, whatever the element type is. The functions are applied in f64: the logarithm, the exponential function
//! and `x + log(-expm1(-x))`, as fdlibm computes them (the crate `libm`). The result is rounded to the element type once,
//! ties to even. `log_uniform(a, b)` is `exp(uniform(log(a), log(b)))`, whose bounds are f64 logarithms. A block of a fused
//! or stacked parameter that is such a function has the values of a separate tensor, as an `orthogonal` block has.
//!
//! # constant, eye, dirac, arange
//! Each value is a function of its index only. No words are used.
//!
//! # Blocks
//! In a plan of blocks (`blocks`, `stacked`, `delta_orthogonal`, `orthogonal` with an axis layout) each element has the
//! distribution of its block. Values of uniform, normal and trunc_normal are computed from their index in the **whole**
//! tensor. Therefore, if blocks have the same distribution, their values are bit-identical to that distribution over
//! the whole tensor. A block that is drawn as a matrix (`sparse`, `orthogonal`) has the values of a tensor of the
//! block's own shape. The name of this tensor is the name of the whole tensor followed by the block's suffix
//! ([`Block::suffix`](crate::Block::suffix)): `[1]` for block 1, `[3][0]` for block 0 of tensor 3 of a stack, and no
//! suffix if a single matrix is the only block. Elements outside of all blocks are 0.
//!
//! # Elementary functions
//! Logarithm, sine, cosine and quantile are the fixed polynomials of `src/math`. Every operation is evaluated in the
//! order in which it is written there.

mod blocks;
mod model;
mod names;
mod orthogonal;
mod prepared;
mod seed;
mod single;
mod tensor;

pub use model::NativeModel;
pub use names::canonical_name;
pub use prepared::Prepared;
pub use seed::Native;
#[cfg(feature = "rand_core")]
pub(super) use single::orthogonal_from;
pub use tensor::NativeTensor;
