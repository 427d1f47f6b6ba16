"""Numbers and counts as a reader wants them: as many digits as are known, units that fit, a true minus sign."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tuneful.core.measure import Measure

METRICS: dict[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "F1 (macro)",
    "f1_weighted": "F1 (weighted)",
    "precision_macro": "precision (macro)",
    "precision_weighted": "precision (weighted)",
    "recall_macro": "recall (macro)",
    "recall_weighted": "recall (weighted)",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse_scaled": "MSE (scaled)",
    "r2": "R²",
    "kappa_quadratic": "quadratic kappa",
    "rank_error": "rank error",
    "r2_mean": "mean R²",
    "rmse_scaled": "RMSE (scaled, mean)",
    "rmse_mean": "mean RMSE",
    "mae_mean": "mean MAE",
    "f1_micro": "F1 (micro)",
    "auroc_micro": "AUROC (micro)",
    "hamming_loss": "Hamming loss",
    "bleu": "BLEU",
    "chrf": "chrF",
    "mean_iou": "mean IoU",
    "dice": "Dice",
    "pixel_accuracy": "pixel accuracy",
    "pixel_log_loss": "pixel log loss",
    "auroc_outside": "AUROC of known against outside",
    "coverage": "coverage (known that are answered)",
    "accuracy_answered": "accuracy of the answered",
    "outside_rejected": "outside that are rejected",
    "fpr_at_95": "outside answered at 95 % coverage",
    "accuracy_open": "accuracy with abstention",
    "aurc": "AURC (risk over coverage)",
    "entity_f1": "entity F1",
}
AT_MOST_ONE = frozenset(
    f"{name}{kind}"
    for name in (
        "accuracy",
        "balanced_accuracy",
        "subset_accuracy",
        "token_accuracy",
        "entity_f1",
        "auroc",
        "f1",
        "precision",
        "recall",
        "mean_iou",
        "dice",
        "pixel_accuracy",
    )
    for kind in ("", "_macro", "_weighted", "_micro")
)
SMALLER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mse", "rmse", "mae", "hamming_loss", "rank_error", "rmse_scaled",
                               "rmse_mean", "mae_mean", "mse_scaled", "bits_per_token", "perplexity", "token_log_loss", "pixel_log_loss"})  # fmt: skip
VALUES = ("regression", "multiregression", "forecasting", "sequence_to_sequence")  # kinds of task that have no classes


def metric(name: str) -> str:
    """A metric's name as it is printed; one that is not known keeps its own."""
    return METRICS.get(name, name.replace("_", " "))


def table(value: Any) -> Mapping[str, Any]:
    """A mapping found in foreign data, or an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Any]:
    """A list found in foreign data, or an empty one."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def measured(value: Any) -> Measure | None:
    """A measure from evidence; None where there is none or its value is not finite."""
    if not isinstance(value, Mapping) or "value" not in value:
        return None
    found = Measure.from_data({"low": None, "high": None, "n": 0, **cast("Mapping[str, Any]", value)})
    return found if math.isfinite(found.value) else None


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits: 0.9722, 1,234, 3.1e−5; "–" when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if isinstance(value, int) and size < 10**7:
        told = f"{value:,}"
    elif size and (size < 1e-3 or size >= 1e7):
        mantissa, exponent = f"{value:.{max(digits - 2, 1)}e}".split("e")
        told = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    else:
        places = max(digits - 1 - (math.floor(math.log10(size)) if size else 0), 0)
        told = f"{value:,.{places}f}"
        told = told.rstrip("0").rstrip(".") if "." in told else told
    return told.replace("-", "−")


def places(measure: Measure) -> int:
    """How many decimals the interval justifies: two digits of its half-width when they begin with 1 to 3, else one.

    At most 6; those of 4 significant digits when there is no interval. Source: the rounding rule of the Particle Data
    Group, Review of Particle Physics, introduction 5.3.
    """
    half = (measure.high - measure.low) / 2
    if not math.isfinite(half) or half <= 0:
        size = abs(measure.value)
        return 4 if size == 0 else min(max(3 - math.floor(math.log10(size)), 0), 6)
    power = math.floor(math.log10(half))
    return min(max((1 if half / 10**power < 3.55 else 0) - power, 0), 6)


def fixed(value: float, decimals: int, sign: bool = False) -> str:
    """A number with that many decimals and a true minus sign; `sign` writes the plus as well."""
    if not math.isfinite(value):
        return number(value)
    if abs(value) >= 1e7:
        return number(value)
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", "−")


def central(measure: Measure, sign: bool = False, decimals: int | None = None) -> str:
    """The value alone, with as many decimals as are known (or as asked for), and its unit."""
    return fixed(measure.value, places(measure) if decimals is None else decimals, sign) + unit(measure)


def interval(measure: Measure, sign: bool = False, decimals: int | None = None) -> str:
    """`[low, high]` that no line breaks, or "no interval"."""
    if not (math.isfinite(measure.low) and math.isfinite(measure.high)):
        return "no interval"
    decimals = places(measure) if decimals is None else decimals
    return f"[{fixed(measure.low, decimals, sign)},\u00a0{fixed(measure.high, decimals, sign)}]"


def whole(measure: Measure, sign: bool = False, decimals: int | None = None) -> str:
    """`value unit [low, high]`."""
    return f"{central(measure, sign, decimals)} {interval(measure, sign, decimals)}"


def alike(measures: Iterable[Measure | None]) -> int | None:
    """The decimals that a column of measures shares: the middle one of what each would have; None for no measures."""
    found = sorted(places(measure) for measure in measures if measure is not None)
    return found[len(found) // 2] if found else None


def begin(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def unit(measure: Measure) -> str:
    """The unit behind a no-break space, or nothing."""
    return f"\u00a0{measure.unit}" if measure.unit else ""


def duration(seconds: float) -> str:
    """Seconds as 0.42 s, 12.3 s, 3 min 20 s, 2 h 05 min."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.2f}\u00a0s" if seconds < 1 else f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02d}\u00a0s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}\u00a0h {minutes:02d}\u00a0min"


def size(count: float) -> str:
    """Bytes as 812 B, 1.3 kB, 4.6 MB."""
    for name, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.3g}\u00a0{name}"
    return f"{count:.0f}\u00a0B"


def share(part: float, of: float) -> str:
    """A part as per cent: 12 %, 3.4 %, < 0.1 %."""
    if not of:
        return "–"
    percent = 100 * part / of
    if 0 < percent < 0.1:
        return "<\u00a00.1\u00a0%"
    return f"{percent:.1f}\u00a0%" if percent < 10 and percent else f"{percent:.0f}\u00a0%"


def p_value(p: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    if not math.isfinite(p):
        return "p unknown"
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.2g}"


def many(count: int, one: str, more: str = "") -> str:
    """`1 trial`, `40 trials`."""
    return f"{count:,}\u00a0{one if count == 1 else more or one + 's'}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def setting(value: Any) -> str:
    """The value of a setting or a dial as the user would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) else number(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(setting(item) for item in cast("list[Any]", value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {setting(item)}" for key, item in cast("Mapping[str, Any]", value).items()) + "}"
    return str(value)


def wilson(part: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson interval of a share of n (Wilson, JASA 1927)."""
    if n <= 0:
        return 0.0, 1.0
    centre = (part + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)
