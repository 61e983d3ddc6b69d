"""Exponential, logarithm and power for vectors of lanes, in the Python that `vector.py` compiles.

Nothing here branches, so that all lanes of a vector take one path: the short one (`NAME_shortly`)
where `NAME_usually` holds in all of them. Errors stay under 0.75 units in
the last place, and a power whose value is a whole number comes out whole: the logarithm is
carried as the sum of two numbers (Dekker 1971, Numerische Mathematik 18:224-242; error-free sums
and, by fused multiplication and addition, products), of which the first alone is `log`.
`fma`, `bits` and `real` are instructions; in plain Python, tests give them.
"""

import math

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has 20 zeros at its end, so that its multiples are exact.
LN2 = 0.6931471804855391
LN2_LOW = 7.440617110012397e-11
MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number
MAGIC_BITS = 4843621399236968448
THIRD = 0.3333333333333333
THIRD_LOW = 1.850371707708594e-17
SQRT_HALF_BITS = 4604544271217802189
SMALLEST_NORMAL = 2.2250738585072014e-308
TWO_54 = 18014398509481984.0


def exp(x):
    return exp_of_sum(x, 0.0)


def exp_usually(x):
    """Whether the short way is right."""
    return abs(x) < 700.0


def exp_shortly(x):
    value, k = exp_parts(x, 0.0)
    return real(bits(value) + (k << 52))


def exp_of_sum(x, low):
    """exp(x + low), where low is small beside x."""
    x = 746.0 if x > 746.0 else x
    x = -800.0 if x < -800.0 else x
    value, k = exp_parts(x, low)
    # 2^k in two factors, since k goes beyond what one exponent holds.
    half = k >> 1
    return value * real((half + 1023) << 52) * real((k - half + 1023) << 52)


def exp_parts(x, low):
    """exp(x + low) as a number near 1 and a power of two."""
    z = fma(x, LOG2_E, MAGIC)
    n = z - MAGIC
    a = fma(-n, LN2, x)
    b = fma(-n, LN2_LOW, low)
    r = a + b
    r_low = (a - r) + b
    # Taylor's series of (exp(r) - 1 - r) / r^2, |r| < 0.347, to 2^-63 (even and odd terms apart).
    s = r * r
    even = fma(s, 1.1470745597729725e-11, 2.08767569878681e-09)
    even = fma(s, even, 2.755731922398589e-07)
    even = fma(s, even, 2.48015873015873e-05)
    even = fma(s, even, 0.001388888888888889)
    even = fma(s, even, 0.041666666666666664)
    even = fma(s, even, 0.5)
    odd = fma(s, 1.6059043836821613e-10, 2.505210838544172e-08)
    odd = fma(s, odd, 2.7557319223985893e-06)
    odd = fma(s, odd, 0.0001984126984126984)
    odd = fma(s, odd, 0.008333333333333333)
    odd = fma(s, odd, 0.16666666666666666)
    q = fma(r, odd, even)
    one = 1.0 + r
    value = one + (((1.0 - one) + r) + fma(s, q, r_low))
    return value, bits(z) - MAGIC_BITS


def log_parts(x):
    """ln x for positive finite x as the sum of two numbers."""
    tiny = x < SMALLEST_NORMAL
    return log_parts_of(x * TWO_54 if tiny else x, -54.0 if tiny else 0.0)


def log_parts_of(x, shift):
    """ln x + shift ln 2 for a normal number x."""
    i = bits(x)
    e = (i - SQRT_HALF_BITS) >> 52
    m = real(i - (e << 52))
    n = float(e) + shift
    # ln m = 2 h (1 + h^2/3 + h^4/5 + ...), h = (m - 1)/(m + 1), |h| < 0.172
    f = m - 1.0
    d = m + 1.0
    d_low = m - (d - 1.0)
    inverse = 1.0 / d
    h = f * inverse
    h_low = inverse * fma(-h, d_low, fma(-h, d, f))
    z = h * h
    z_low = fma(h, h, -z) + 2.0 * h * h_low
    w = z * z
    even = fma(w, 0.04, 0.047619047619047616)
    even = fma(w, even, 0.058823529411764705)
    even = fma(w, even, 0.07692307692307693)
    even = fma(w, even, 0.1111111111111111)
    even = fma(w, even, 0.2)
    odd = fma(w, 0.043478260869565216, 0.05263157894736842)
    odd = fma(w, odd, 0.06666666666666667)
    odd = fma(w, odd, 0.09090909090909091)
    odd = fma(w, odd, 0.14285714285714285)
    tail = w * fma(z, odd, even)
    t = z * THIRD
    t_low = fma(z, THIRD, -t) + fma(z, THIRD_LOW, z_low * THIRD) + tail
    product = h * t
    product_low = fma(h, t, -product) + fma(h, t_low, h_low * t)
    a = h + product
    a_low = (h - a) + product + (h_low + product_low)
    big = n * LN2
    total = big + 2.0 * a
    low = (big - total) + 2.0 * a + fma(n, LN2_LOW, 2.0 * a_low)
    high = total + low
    return high, (total - high) + low


def log(x):
    high, _ = log_parts(x)
    return high if x < math.inf else x


def log_usually(x):
    return x >= SMALLEST_NORMAL and x < math.inf


def log_shortly(x):
    high, _ = log_parts_of(x, 0.0)
    return high


def power_usually(x, y):
    """x is normal, and |y ln x| surely below 700: |ln x| is at most ln 2 (|exponent of x| + 1)."""
    exponent = abs(float((bits(x) >> 52) - 1023))
    return log_usually(x) and abs(y) * (exponent + 1.0) < 1000.0


def power_shortly(x, y):
    high, low = log_parts_of(x, 0.0)
    product = y * high
    value, k = exp_parts(product, fma(y, high, -product) + y * low)
    return real(bits(value) + (k << 52))


def power(x, y):
    """x**y; infinite for a fractional power of a negative number and a negative one of zero."""
    size = abs(x)
    high, low = log_parts(size)
    product = y * high
    rest = fma(y, high, -product) + y * low
    value = exp_of_sum(product, rest if abs(product) < 800.0 else 0.0)
    value = math.inf if x < 0.0 and y != math.floor(y) else value
    value = -value if x < 0.0 and 0.5 * y != math.floor(0.5 * y) else value
    return value if size > 0.0 and size < math.inf else power_of_extremes(size, y)


def power_of_extremes(size, y):
    """size**y for zero, infinity and NaN."""
    if y == 0.0:
        return 1.0
    if size == 0.0:
        return 0.0 if y > 0.0 else math.inf
    return 1.0 / size if y < 0.0 else y * size
