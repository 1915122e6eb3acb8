//! The native stream, version 1.
//!
//! The stream is counter-based (Philox): a value depends only on the seed, the tensor's name and the row-major index.
//! Threads, chunks, shards, hosts and CPU models do not change the value. This page defines the stream in enough detail
//! to implement it again.
//!
//! # Keys
//! Each tensor has a separate Philox generator for each purpose, such as `values32`. The key and the high half of the
//! counter are computed by BLAKE3 from the bytes
//!
//! ```text
//! "fanin native stream" (19 bytes) | version 1 (u32) | length of purpose (u32) | purpose
//!     | seed (u64) | length of name (u64) | name (UTF-8)
//! ```
//!
//! All integers are little-endian. The first sixteen bytes of the hash are four little-endian hash words. Hash words 0
//! and 1 are the key of Philox4x32-10. Hash words 2 and 3 are counter words 2 and 3. Counter words 0 and 1 are the low
//! and the high half of the block number. The name is first converted to its canonical form, without the path
//! components of wrapper modules ([`canonical_name`]).
//!
//! The purposes are `values32` and `values64` for values, `permutation` for the zeros of `sparse`, and `reflections32`
//! and `reflections64` for `orthogonal`. The purposes with 64 are for f64 tensors, and the purposes with 32 are for
//! tensors of all other types.
//!
//! # Words
//! A Philox block consists of four words. Sixteen Philox blocks form a **group**. Divisions of indices round down.
//!
//! An f32 value takes one word. The value at index i is in group `i / 64`. With `o = i mod 64`, the value comes from
//! word `o / 16` of Philox block `16 * (i / 64) + o mod 16`.
//!
//! An f64 value takes two words. The value at index i is in group `i / 32`. With `o = i mod 32`, the value comes from
//! words `2 * (o / 16)` (high) and `2 * (o / 16) + 1` (low) of Philox block `16 * (i / 32) + o mod 16`.
//!
//! Below, `w` is a word. `s(w)` is the signed integer with the same bits. `W = high * 2^32 + low` is the integer of two
//! words. The type of the arithmetic is f64 for f64 values, and f32 for values of all other types. Every step rounds to
//! nearest in this type, including the addition of 1/2 and the conversion of an integer. A fused multiply-add
//! `fma(x, y, z)` rounds once. A value of f16, bf16 or an 8-bit type is the f32 value at the same index, rounded once,
//! ties to even.
//!
//! **Clamping.** Let a and b be the bounds of a uniform or truncated normal distribution. A value is clamped to the
//! range from `least` to `greatest` before it is rounded to the element type. `least` is the least number of the type
//! of the arithmetic that is not below a. `greatest` is the greatest number of this type that is below b (uniform) or
//! not above b (truncated normal). If the interval contains no such number, `least` and `greatest` are both the number
//! that is nearest to the middle of a and b. For this purpose, the bounds of a truncated normal distribution are first
//! clamped to `[-L, L]`, where L is the largest finite value of the element type.
//!
//! Rounding to a narrow type can move a value out of the bounds, by at most half the distance between neighbouring
//! values of the type. In particular, a uniform value of a narrow type can equal b. For example, 1 in 1024 bf16 values
//! of U[-1/2, 1/2) is 1/2.
//!
//! # uniform
//! f32: the value is `fma(s(w), scale, middle)`. `scale = (b - a) / 2^32` and `middle = a / 2 + b / 2` are computed in
//! f64 and rounded to f32. f64: the value is `fma(fma(s(high), 2^32, low), scale, middle)` with
//! `scale = (b - a) / 2^64`. If a = b, every value is a.
//!
//! # normal
//! The Box-Muller transform gives two standard normal variates, `z = r * cos(t)` and `z = r * sin(t)`. The value is
//! `fma(z, std, mean)`.
//!
//! f32: words 0 and 1 of a Philox block are one pair, and words 2 and 3 are another pair. Let w be the first word of a
//! pair, and w' the second word. The cosine gives the value that belongs to w, and the sine gives the value that
//! belongs to w'. The radius is `r = sqrt(-2 * ln(u))` with `u = min(w + 1/2, 2^32 - 2^8) / 2^32`. The angle is
//! `t = 2 * pi * (w' + 1/2) / 2^32`, and is reduced in integers. The number of quarter turns is
//! `q = ((w' + 2^29) mod 2^32) / 2^30`, rounded down. The remainder of the angle is `(s(d) + 1/2) * (2 * pi / 2^32)`
//! with `d = (w' - 2^30 * q) mod 2^32`.
//!
//! f64: words 0 and 1 (W) of a Philox block give the radius, with `u = min(W + 1/2, 2^64 - 2^11) / 2^64`. Words 2 and 3
//! (W') give the angle `t = 2 * pi * (W' + 1/2) / 2^64`. Let `high` and `low` be the words of W'. The number of quarter
//! turns is `q = (high + 2^29) / 2^30`, rounded down. The remainder of the angle is
//! `fma(high - 2^30 * q, 2^32, low + 1/2) * (2 * pi / 2^64)`. The cosine gives the value that belongs to words 0 and 1,
//! and the sine gives the value that belongs to words 2 and 3.
//!
//! # trunc_normal
//! Each value is the inverse distribution function of one uniform variate. In standard units, the bounds are
//! `alpha = (a - mean) / std` and `beta = (b - mean) / std`. If `alpha + beta < 0`, the interval is reflected. The
//! *nearer bound*, the bound that is nearer to the mean, is a, or b if the interval is reflected. `near` is `alpha`, or
//! `-beta` if the interval is reflected. The uniform variate `u` is `(w + 1/2) / 2^32`, or `(W + 1/2) / 2^64` in f64.
//! `u'` is computed in the same way from the bitwise complement of the words. `u'` equals 1 - u to full relative
//! precision.
//!
//! `below = P(Z < alpha)` and `above = P(Z > beta)` are computed by the complementary error function, where Z is
//! standard normal. `mass` is the probability of the interval. For a tail probability t, let
//! `v(t) = -ln(4 * t * (1 - t))`. `v_max` is `v(t)` at the smallest tail probability,
//! `t = min(below, above) + mass / 2^33`.
//!
//! The whole tensor uses the first row of this table whose condition holds:
//!
//! | regime | where | value |
//! |---|---|---|
//! | point | near > 1e150 | the nearer bound |
//! | flat | width * max(1, \|near\|) <= 2^-26, width = (b - a) / std | uniform on [a, b] |
//! | tail | near >= 5, or width < 2^-26 | `fma(delta, std, a)`, or `fma(delta, -std, b)` if reflected |
//! | body | all types except f64; width >= 1/8; v_max < 24.5 | `fma(z, std, mean)`, where z is the f32 quantile |
//! | centre | otherwise | `fma(z, std, mean)`, where z is the f64 quantile (Wichura 1988, AS 241); the result is rounded to the type |
//!
//! *Centre and body.* In the regime *body*, `u` and `u'` are computed from `(w + 2^31) mod 2^32` instead of w. The tail
//! probabilities at u are `lower = fma(u, mass, below)` and `upper = fma(u', mass, above)`. The quantile is computed
//! from t, the smaller of `lower` and `upper`. The f32 quantile is `x` times a function of `v(t)`, where
//! `x = fma(s(w) + 1/2, 2 * mass / 2^32, below - above)`. The function is given by two polynomials: the first for
//! `v(t) <= 5.25`, and the second for larger `v(t)`. If `v_max < 5.249`, every `v(t)` is at most 5.25 even after
//! rounding, so only the first polynomial is used.
//!
//! *Tail.* `delta` is the distance from the nearer bound to the value, in units of `std`. Let
//! `g(delta) = -ln(P(Z > near + delta) / P(Z > near))`, `m = 1 - exp(-g(width))` and `E = -ln(1 - u * m)`. `delta`
//! solves `g(delta) = E`. The function g is computed as
//! `g(delta) = delta * (near + delta / 2) + ln(1 + delta / near) - h(near + delta) + h(near)` with
//! `h(z) = ln(z * M(z))`, where M is the Mills ratio. The equation is solved by four Newton steps, starting at
//! `2 * E / (sqrt(near^2 + 2 * E) + near)`. If `width < 2^-26`, the function `g(delta) = near * delta` is used instead.
//! Then m is `1 - exp(-near * width)`, and `delta` is `E / near`. The arithmetic is f64, and the value is rounded to
//! the element type at the end.
//!
//! # sparse
//! The entry at an index is the normal value at this index, or 0. Let `rows` be the number of rows, and `zeros` the
//! number of entries in each column that are 0. For each column c, the words of the purpose `permutation` select the
//! rows of these entries.
//!
//! If there are at most 256 rows, a forward Fisher-Yates shuffle of the list of row indices 0..rows selects the rows.
//! Step `t = 0, 1, .., zeros - 1` swaps the list elements t and `t + word mod (rows - t)`, where the word is word
//! `t mod 4` of Philox block `64 * c + t / 4`. The row indices in the first `zeros` list elements are selected.
//!
//! If there are more than 256 rows, row r is selected if its image under a permutation of 0..rows is less than `zeros`.
//! The permutation is a Feistel network with cycle walking on `bits` bits, where `2^(bits-1) < rows <= 2^bits`. An
//! index is split into two halves: `left` is the upper `bits / 2` bits (rounded down), and `right` is the other bits.
//! The key of round i = 0, 1, .., 11 is word `i mod 4` of Philox block c. The round is `left ^= F(right)` for even i,
//! and `right ^= F(left)` for odd i. The result of F is truncated to the number of bits of the half that changes.
//! `F(x)` is `mix(x + key + i * 0x9E3779B9)`, where mix is MurmurHash3's 32-bit finalizer. An image that is not less
//! than `rows` is permuted again.
//!
//! # orthogonal
//! Let `rows` be the size of the first axis and `columns` the product of all other sizes. `m` is `max(rows, columns)`
//! and `n` is `min(rows, columns)`. Entry (i, j) of an m by n matrix X is the standard normal value at the index
//! `i * n + j`, from the words of the purpose `reflections32` (`reflections64`). The vector x_j is column j of X with
//! zeros in the rows above row j. Its entry in row j is x_jj, and its Euclidean norm is `|x_j|`. The vector `v_j` is
//! `x_j + sign(x_jj) * |x_j| * e_j`, where e_j is the unit vector of row j and sign(0) is 1. V is the matrix with the
//! columns v_j, and V_top is the first n rows of V. `striu` is the strictly upper triangle of a matrix.
//!
//! In this section, W is the matrix `S^-1 * V_top^T` with `S = striu(V^T * V) + diag(|x_j| * (|x_j| + |x_jj|))`. The
//! matrix of values is `Q[i][c] = (delta_ic - sum_k V[i][k] * W[k][c]) * -sign(x_cc) * gain`, where delta is the
//! Kronecker delta. Q is transposed if rows < columns.
//!
//! Each sum starts at 0, and its terms are added one after another by fused multiply-adds in the type of the
//! arithmetic. The terms of `|x_j|^2` and of `V^T * V` are added in ascending order of rows. The terms of Q are added
//! in ascending order of k. The rows of W are computed from the last row to the first row. Row j starts as row j of
//! V_top^T. Then `S[j][k] * W[k]` is subtracted for each k from n - 1 down to j + 1, and the result is divided by
//! `S[j][j]`.
//!
//! # log_uniform, and functions of values
//! `log(spec)`, `exp(spec)` and `softplus_inverse(spec)` apply a function to the values of the inner spec. For any
//! element type, the inner values are the values of an f64 tensor of the same name and shape. The functions are the
//! logarithm, the exponential function and `x + log(-expm1(-x))`. They are computed in f64 by the algorithms of fdlibm
//! (the crate `libm`). The result is rounded to the element type once, ties to even. `log_uniform(a, b)` is
//! `exp(uniform(log(a), log(b)))`, where the bounds are f64 logarithms. If a fused or stacked parameter has a block
//! with such a distribution, the block has the values of a separate tensor. The section *Blocks* below defines the name
//! of this tensor.
//!
//! # constant, eye, dirac, arange
//! Each value is a function of its index only. No words are used.
//!
//! # Blocks
//! In a plan of blocks (`blocks`, `stacked`, `delta_orthogonal`, `orthogonal` with an axis layout), each element has
//! the distribution of its block. Elements outside all blocks are 0. Values of uniform, normal and trunc_normal are
//! computed from their index in the **whole** tensor. If all blocks have the same distribution, the values are
//! therefore bit-identical to the values of a tensor without blocks.
//!
//! A `sparse` or `orthogonal` block has the values of a separate tensor with the shape of the block. The name of this
//! tensor is the name of the whole tensor followed by the suffix of the block
//! ([`Block::suffix`](crate::Block::suffix)). The suffix is `[1]` for block 1, and `[3][0]` for block 0 of tensor 3 of
//! a stack. The suffix is empty if a single matrix is the only block.
//!
//! # Elementary functions
//! Logarithm, sine, cosine and quantile are computed by the polynomials in `src/math`. The operations are executed in
//! the order in which they are written there.

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
