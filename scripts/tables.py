"""Prints the polynomial tables of crates/fanin/src/math/quantile.rs.

    pip install mpmath && python scripts/tables.py

Each table has the coefficients of a polynomial that interpolates a smooth function at Chebyshev nodes. The error of the
polynomial is within a small factor of the smallest possible error for its degree. The script also prints the largest
relative error of the rounded coefficients at 2000 points, in high precision.
"""

import struct

import mpmath as mp

mp.mp.dps = 60


def as_f32(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def interpolate(function, low, high, degree):
    """Interpolates `function` on [low, high] by a polynomial in x - middle, with middle = (low + high) / 2.

    Returns `middle` and the coefficients, in the order of ascending powers.
    """
    middle, half = (mp.mpf(low) + high) / 2, (mp.mpf(high) - low) / 2
    nodes = [mp.cos(mp.pi * (2 * k + 1) / (2 * (degree + 1))) for k in range(degree + 1)]
    matrix = mp.matrix(degree + 1, degree + 1)
    values = mp.matrix(degree + 1, 1)
    for row, node in enumerate(nodes):
        for column in range(degree + 1):
            matrix[row, column] = node**column
        values[row] = function(middle + half * node)
    solution = mp.lu_solve(matrix, values)
    return middle, [solution[k] / half**k for k in range(degree + 1)]


def table(name, description, function, low, high, degree, rounded):
    """Prints the coefficients of a polynomial that approximates a function on [low, high].

    `rounded` rounds a coefficient to the type that the Rust code stores: f32 or f64.
    """
    middle, coefficients = interpolate(function, low, high, degree)
    coefficients = [rounded(c) for c in coefficients]
    worst = mp.mpf(0)
    for k in range(2000):
        x = mp.mpf(low) + (mp.mpf(high) - low) * k / 1999
        exact = function(x)
        fitted = mp.polyval([mp.mpf(c) for c in reversed(coefficients)], x - middle)
        worst = max(worst, abs(fitted / exact - 1) if exact else abs(fitted))
    print(f"// {description}")
    print(f"// for x in [{low}, {high}], in x - {mp.nstr(middle, 8)}; relative error {mp.nstr(worst, 2)}.")
    print(f"{name}: {[float(c) for c in coefficients]}\n")


def quantile(tail):
    """Returns z >= 0 with P(Z > z) = tail, where Z is a standard normal variable. Uses Newton's method."""
    tail = mp.mpf(tail)
    if tail == mp.mpf(1) / 2:
        return mp.mpf(0)
    guess = mp.sqrt(-2 * mp.log(2 * tail)) * mp.mpf("0.9")
    for _ in range(200):
        error = mp.log(mp.erfc(guess / mp.sqrt(2)) / 2) - mp.log(tail)
        slope = -mp.npdf(guess) / (mp.erfc(guess / mp.sqrt(2)) / 2)
        step = error / slope
        guess -= step
        if abs(step) < mp.mpf(10) ** -45 * max(1, abs(guess)):
            break
    return guess


def over_x(w):
    """Returns z / x as a function of w = -ln(1 - x^2), for x >= 0.

    z is defined by P(Z > z) = (1 - x) / 2, where Z is a standard normal variable.
    """
    w = mp.mpf(w)
    if w < mp.mpf(10) ** -30:
        return mp.sqrt(mp.pi / 2)
    x = mp.sqrt(-mp.expm1(-w))
    tail = mp.exp(-w) / (2 * (1 + x))
    return quantile(tail) / x


def log_mills(y):
    """Returns ln(z M(z)) at z = y^(-1/2), where M(z) = P(Z > z) / density(z) is Mills' ratio."""
    y = mp.mpf(y)
    if y < mp.mpf(10) ** -25:
        return -y
    z = 1 / mp.sqrt(y)
    return mp.log(z * mp.erfc(z / mp.sqrt(2)) / 2 / mp.npdf(z))


if __name__ == "__main__":
    table("QUANTILE_BODY", "z / x as a function of w", over_x, 0, 5.25, 9, as_f32)
    table("QUANTILE_TAIL", "z / x as a function of sqrt(w)", lambda s: over_x(s * s), 2.28, 5.0, 10, as_f32)
    table("LOG_MILLS", "ln(z M(z)) / y as a function of y = z^-2", lambda y: log_mills(y) / y if y else mp.mpf(-1), 0, 0.04, 16, float)
