"""The chances in the tails of a few laws, with the standard library and numpy alone: what scipy would say, where there is none.

    Q(a, x) = Gamma(a, x) / Gamma(a)      chi-squared with k degrees: Q(k / 2, x / 2)
    x < a + 1:  1 - x^a e^-x sum_n x^n / Gamma(a + n + 1);  else Legendre's continued fraction
    P(K > t) = 2 sum_k (-1)^(k-1) e^(-2 k^2 t^2)                        large t (Kolmogorov)
             = 1 - sqrt(2 pi) / t sum_k e^(-(2k-1)^2 pi^2 / (8 t^2))    small t

Sources: DLMF 8.7.1, 8.9.2; Kolmogorov, Giornale dell'Istituto Italiano degli Attuari 1933, and its theta form (DLMF 20.7.32).
"""

from __future__ import annotations

import math

_TERMS, _ENOUGH = 2000, 1e-16


def chi_squared_tail(x: float, degrees: float) -> float:
    """The chance of more than x under chi-squared with so many degrees of freedom; 1 where there are none."""
    return 1.0 if x <= 0 or degrees <= 0 else gamma_tail(degrees / 2, x / 2)


def gamma_tail(a: float, x: float) -> float:
    """Q(a, x), the upper regularized incomplete gamma function; a > 0, x >= 0."""
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _TERMS):
            term *= x / (a + n)
            total += term
            if term < total * _ENOUGH:
                break
        return max(0.0, 1 - front * total)
    tiny = 1e-300  # Lentz's method
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for n in range(1, _TERMS):
        step = -n * (n - a)
        b += 2
        d = step * d + b
        d = 1 / (d if abs(d) > tiny else tiny)
        c = b + step / c
        c = c if abs(c) > tiny else tiny
        value *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return min(1.0, front * value)


def kolmogorov_tail(t: float) -> float:
    """The chance of more than t under the law of Kolmogorov: sup |Brownian bridge|."""
    if t <= 0:
        return 1.0
    if t < 1:
        terms = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * t * t)) for k in range(1, 20))
        return min(1.0, max(0.0, 1 - math.sqrt(2 * math.pi) / t * sum(terms)))
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * t * t) for k in range(1, 20)))


def normal_tail(z: float) -> float:
    """The chance of more than z under the standard normal law."""
    return 0.5 * math.erfc(z / math.sqrt(2))


__all__ = ["chi_squared_tail", "gamma_tail", "kolmogorov_tail", "normal_tail"]
