"""The functions of the modelling language in plain Python, copied into every program.

`vector.py` compiles this text as it stands. A division by zero, the logarithm of a negative
number and an exponential that overflows raise an exception.
"""

import math

SMALL = 1e-6  # what Vensim takes for zero in ZIDZ, XIDZ and in comparing times


def smaller(a, b):
    return a if a < b or a != a else b


def larger(a, b):
    return a if a > b or a != a else b


def finite(x):
    """`x`; compiled code goes on with infinity where plain Python raises this by itself."""
    if math.isinf(x):
        raise OverflowError("a number too large")
    return x


def exp(x):
    return finite(math.exp(x))


def ln(x):
    if x <= 0.0:
        raise ValueError("LN of zero or of a negative number")
    return math.log(x)


def log(x, base):
    return ln(x) / ln(base)


def sqrt(x):
    if x < 0.0:
        raise ValueError("SQRT of a negative number")
    return math.sqrt(x)


def arcsin(x):
    if x < -1.0 or x > 1.0:
        raise ValueError("ARCSIN of a number outside -1 to 1")
    return math.asin(x)


def arccos(x):
    if x < -1.0 or x > 1.0:
        raise ValueError("ARCCOS of a number outside -1 to 1")
    return math.acos(x)


def power(base, exponent):
    if base < 0.0 and exponent != math.floor(exponent):
        raise ValueError("a fractional power of a negative number")
    if base == 0.0 and exponent < 0.0:
        raise ZeroDivisionError("a negative power of zero")
    return finite(base**exponent)


def integer(x):
    return x - x % 1.0 if x >= 0.0 else (-x) % 1.0 + x


def quantum(x, size):
    """Vensim's manual (fn_quantum): x itself where the size is zero or below."""
    return x if size <= 0.0 else size * integer(x / size)


def modulo(x, size):
    """Vensim's manual (fn_modulo): as in C, so that the rest has the sign of x."""
    if size == 0.0:
        raise ZeroDivisionError("MODULO by zero")
    return x - size * integer(x / size)


def whole(x):
    """XMILE's INT: the next whole number below."""
    return float(math.floor(x))


def remainder(a, b):
    """XMILE's MOD, with the sign of the divisor: a = INT(a/b)*b + a MOD b."""
    return a - b * math.floor(a / b)


def rounded(x):
    """Stella's ROUND; a half goes away from zero."""
    below = math.floor(abs(x))  # x + 0.5 may round up to a whole number that x is not near
    nearest = float(below) if abs(x) - below < 0.5 else below + 1.0
    return nearest if x >= 0.0 else -nearest


def divided(a, b, otherwise):
    """XMILE's // and Stella's SAFEDIV: only a divisor of zero itself is in the way."""
    return otherwise if b == 0.0 else a / b


def zidz(a, b):
    return 0.0 if abs(b) < SMALL else a / b


def xidz(a, b, x):
    return x if abs(b) < SMALL else a / b


def step(t, dt, height, start):
    return height if t + 0.5 * dt > start else 0.0


def ramp(t, slope, start, end):
    return slope * (smaller(end, t) - start) if t + SMALL > start else 0.0


def ramp_on(t, slope, start):
    return slope * (t - start) if t + SMALL > start else 0.0


def pulse(t, dt, start, width):
    """As Vensim's reference has it; half a step keeps rounding out of the comparisons.

    A little more than half, so that a start in the middle of a step belongs to that step.
    """
    middle = t + (0.5 + SMALL) * dt
    end = start + (width if width > 0.0 else dt)
    return 1.0 if middle > start and middle < end else 0.0


def pulse_train(t, dt, start, interval, width, end):
    middle = t + (0.5 + SMALL) * dt
    if interval <= 0.0:
        return pulse(t, dt, start, width)
    if middle > start and middle < end:
        return 1.0 if (middle - start) % interval < larger(width, dt) else 0.0
    return 0.0


def lookup(x, xs, ys):
    last = len(xs) - 1
    if x <= xs[0]:
        return ys[0]
    if x >= xs[last]:
        return ys[last]
    low = 0
    while last - low > 1:
        middle = (low + last) // 2
        if xs[middle] <= x:
            low = middle
        else:
            last = middle
    rise = ys[last] - ys[low]
    width = xs[last] - xs[low]
    slope = rise / width
    steep = math.isinf(slope)
    return ys[low] + (rise * ((x - xs[low]) / width) if steep else (x - xs[low]) * slope)


def lookup_extrapolate(x, xs, ys):
    last = len(xs) - 1
    if x < xs[0]:
        return ys[0] + (x - xs[0]) * ((ys[1] - ys[0]) / (xs[1] - xs[0]))
    if x > xs[last]:
        slope = (ys[last] - ys[last - 1]) / (xs[last] - xs[last - 1])
        return ys[last] + (x - xs[last]) * slope
    return lookup(x, xs, ys)


def lookup_hold_backward(x, xs, ys):
    x = x + 1e-9 * (1.0 + abs(x))  # a time that is a point but for rounding is at it
    last = len(xs)
    low = 0
    while last - low > 1:
        middle = (low + last) // 2
        if xs[middle] <= x:
            low = middle
        else:
            last = middle
    return ys[low]


def lookup_look_forward(x, xs, ys):
    x = x - 1e-9 * (1.0 + abs(x))
    last = len(xs) - 1
    low = -1
    while last - low > 1:
        middle = (low + last) // 2
        if xs[middle] < x:
            low = middle
        else:
            last = middle
    return ys[last]


def lookup_raw(x, xs, ys):
    """The value at a point, missing between points."""
    last = len(xs) - 1
    low = -1
    while last - low > 1:
        middle = (low + last) // 2
        if xs[middle] < x - SMALL:
            low = middle
        else:
            last = middle
    return ys[last] if abs(xs[last] - x) < SMALL else math.nan


def total(values):
    result = 0.0
    for value in values:
        result = result + value
    return result


def product(values):
    result = 1.0
    for value in values:
        result = result * value
    return result


def least(values):
    result = math.inf
    for value in values:
        result = smaller(value, result)
    return result


def most(values):
    result = -math.inf
    for value in values:
        result = larger(value, result)
    return result


def next_first(oldest, middle):
    """The first recurrence of MRG32k3a (L'Ecuyer 1999, doi:10.1287/opre.47.1.159).

    Its whole numbers stay below 2**53, so that plain and compiled runs draw the same ones.
    """
    x = 1403580.0 * middle - 810728.0 * oldest
    rest = x - math.floor(x / 4294967087.0) * 4294967087.0
    return rest + 4294967087.0 if rest < 0.0 else rest


def next_second(oldest, latest):
    x = 527612.0 * latest - 1370589.0 * oldest
    rest = x - math.floor(x / 4294944443.0) * 4294944443.0
    return rest + 4294944443.0 if rest < 0.0 else rest


def combined(first, second):
    """A number of (0, 1) from the latest of both recurrences."""
    rest = first - second
    return (rest if rest > 0.0 else rest + 4294967087.0) / 4294967088.0


def random_uniform(u, low, high):
    return low + (high - low) * u


def random_exponential(u, low, high, shift, stretch):
    """Exponential from the larger of `low` and `shift` on, cut off at `high`."""
    begin = larger(low, shift)
    if stretch <= 0.0:
        return begin
    return begin - stretch * ln(1.0 - u * (1.0 - math.exp((begin - high) / stretch)))


def random_normal(u, low, high, mean, deviation):
    """Normal, cut off at `low` and `high`; in the lower tail, where quantiles are exact."""
    if deviation <= 0.0:
        return larger(low, smaller(high, mean))
    side = -1.0 if low > mean else 1.0
    near = (mean - (low if low <= mean else high)) * side
    far = (mean - (high if low <= mean else low)) * side
    below = 0.5 * math.erfc(near / (deviation * 1.4142135623730951))
    above = 0.5 * math.erfc(far / (deviation * 1.4142135623730951))
    x = mean + side * deviation * normal_quantile(below + (above - below) * u)
    return larger(low, smaller(high, x))


def normal_quantile(p):
    """Algorithm AS 241 (Wichura 1988, doi:10.2307/2347330), to about sixteen digits."""
    p = larger(1e-300, smaller(p, 1.0 - 1e-16))
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        a = (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r
            + 6.7265770927008700853e4) * r + 4.5921953931549871457e4) * r
            + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r
            + 1.3314166789178437745e2) * r + 3.3871328727963666080e0)  # fmt: skip
        b = (((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r
            + 3.9307895800092710610e4) * r + 2.1213794301586595867e4) * r
            + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r
            + 4.2313330701600911252e1) * r + 1.0)  # fmt: skip
        return q * a / b
    r = sqrt(-ln(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r = r - 1.6
        a = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r
            + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0) * r
            + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
            + 4.63033784615654529590e0) * r + 1.42343711074968357734e0)  # fmt: skip
        b = (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r
            + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1) * r
            + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
            + 2.05319162663775882187e0) * r + 1.0)  # fmt: skip
        return -a / b if q < 0.0 else a / b
    r = r - 5.0
    a = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r
        + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2) * r
        + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
        + 5.46378491116411436990e0) * r + 6.65790464350110377720e0)  # fmt: skip
    b = (((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r
        + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4) * r
        + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
        + 5.99832206555887937690e-1) * r + 1.0)  # fmt: skip
    return -a / b if q < 0.0 else a / b


def above_zero(time):
    if time <= 0.0 or time != time:
        raise ValueError("a delay time that is not above zero")
    return time


def settled(s, change):
    """A stock that its outflows emptied by `change`, without what rounding leaves below zero."""
    return 0.0 if s < 0.0 and s > -1e-9 * abs(change) else s


def delay_order(order, time, dt):
    """DELAY N and SMOOTH N drop stages where they are shorter than order times the step."""
    left = float(math.floor(smaller(float(order), time * (1.0 + SMALL) / dt)))
    if left < 1.0:
        raise ValueError("a delay time shorter than TIME STEP")
    return left


def fixed_steps(time, dt):
    """Steps of a DELAY FIXED, one at least; half a step rounds up."""
    if time < 0.0:
        raise ValueError("a delay time below zero")
    return math.floor(larger(time / dt, 1.0) + 0.5 + SMALL)
