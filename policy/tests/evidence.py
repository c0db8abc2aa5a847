#!/usr/bin/env python3
"""Vectors for policy/tests/independent.rs: python3 policy/tests/evidence.py > policy/tests/evidence.json

It shares no code and no algebra with the crate. Bets are kept as money and not as logarithms, each part of a mixture by
itself and not added to the others, with 60 digits; dispersions are exact fractions. Nothing but Python's own library is
needed.
"""
import json
import random
from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 60
CHANCE = random.Random(20261126)
FACTORS = [Decimal("1.1") * Decimal("1.35") ** i for i in range(16)]


def exact(number):
    return Decimal(number)


class Watchful:
    """Parts of a capital of 1, each on all factors from its own beginning on; the rest is kept back."""

    def __init__(self):
        self.parts = [[(Decimal("0.4") / 16) for _ in FACTORS]]
        self.onsets = Decimal("0.45")
        self.meanwhile = Decimal("0.15")
        self.looks = 0

    def begin(self, share):
        self.parts.append([share / 16 for _ in FACTORS])

    def onset(self):
        share = self.onsets / 3
        self.onsets -= share
        self.begin(share)

    def look(self, gains):
        self.looks += 1
        if self.looks % 30 == 0:
            block = self.looks // 30
            share = Decimal("0.15") / (block * (block + 1))
            self.meanwhile -= share
            self.begin(share)
        self.parts = [[money * gain for money, gain in zip(part, gains)] for part in self.parts]

    def ln(self):
        return float((sum(map(sum, self.parts)) + self.onsets + self.meanwhile).ln())


def comparison_gain(r, exposure, bad, ratio, slack, requests, phi):
    """Of the bad requests, the canary's share is rho under the null and q by the bet."""
    exposed, control = ratio * exposure[0], exposure[1]
    rho = exposed / (exposed + control)
    q = r * exposed / (r * exposed + control)
    won = (q / rho) ** bad[0] * ((1 - q) / (1 - rho)) ** bad[1]
    return (won / (requests * slack * (q / rho - 1)).exp()) ** (1 / phi)


def comparisons():
    cases = []
    for name, ratio, slack, phi, users in [
        ("requests", 1.5, 0.001, 1.0, False),
        ("dispersed", 1.2, 0.0, 2.75, False),
        ("users", 1.5, 0.0001, 1.0, True),
    ]:
        bets, looks = Watchful(), []
        for i in range(100):
            onset = i in (1, 40, 41, 77)
            if onset:
                bets.onset()
            n_c, n_s = CHANCE.randrange(1, 60), CHANCE.randrange(100, 600)
            share = [0.01, 0.1, 0.25][i // 34]
            bad = [sum(CHANCE.random() < p for _ in range(n)) for p, n in ((0.02 if i > 60 else 0.006, n_c), (0.005, n_s))]
            exposure = [share, 1.0 - share] if users else [float(n_c), float(n_s)]
            decimals = [exact(number) for number in exposure]
            gain = lambda r: comparison_gain(
                r, decimals, bad, exact(ratio), exact(slack), exact(n_c), exact(phi)
            )
            bets.look([gain(r) for r in FACTORS])
            looks.append({"onset": onset, "requests": n_c, "exposure": exposure, "bad": bad, "lnE": bets.ln()})
        cases.append({"name": name, "ratio": ratio, "slack": slack, "dispersion": phi, "looks": looks})
    return cases


def alarms():
    """Each factor's money is never less than what it began with; the mean of all of them is the evidence."""
    cases, chance = [], random.Random(20261127)
    for name, weights, fails in (("late", (10,) * 60, 40), ("two steps", (1,) * 30 + (50,) * 30, 50)):
        money, intervals, seen, last = [Decimal(1)] * 16, [], [0, 0], None
        for i, percent in enumerate(weights):
            n = [chance.randrange(0, 2 + percent), chance.randrange(0, 102 - percent)]
            bad = [sum(chance.random() < p for _ in range(k)) for p, k in ((0.9 if i >= fails else 0.03, n[0]), (0.03, n[1]))]
            if percent != last:
                seen, last = [0, 0], percent
            seen = [old + new for old, new in zip(seen, n)]
            share = exact(percent) / 100
            known = [seen[0] + 20 * share, seen[1] + 20 * (1 - share)]
            exposure = [k + 20 * of / sum(known) for k, of in zip(n, known)]
            gain = lambda r: comparison_gain(r, exposure, bad, exact(2), exact(0.05), exact(n[0]), exact(1))
            money = [max(each * gain(r), Decimal(1)) for each, r in zip(money, FACTORS)]
            intervals.append({"percent": percent, "canary": [n[0], bad[0]], "stable": [n[1], bad[1]], "lnE": float((sum(money) / 16).ln())})
        cases.append({"name": name, "intervals": intervals})
    return cases


def ceilings():
    bets, looks = Watchful(), []
    for i in range(70):
        onset = i in (3, 35)
        if onset:
            bets.onset()
        n = CHANCE.randrange(1, 80)
        y = sum(CHANCE.random() < (0.05 if i > 40 else 0.01) for _ in range(n))
        p = exact(0.01)
        bets.look([((r**y) / (1 + p * (r - 1)) ** n) ** (1 / exact(1.5)) for r in FACTORS])
        looks.append({"onset": onset, "requests": n, "bad": y, "lnE": bets.ln()})
    return {"allowed": 0.01, "dispersion": 1.5, "looks": looks}


def excursions():
    cases = []
    for tolerated in (0.05, 0.3):
        bets, readings, was_out = Watchful(), [], False
        for i in range(65):
            out = CHANCE.random() < (0.7 if was_out else (0.05 if i < 40 else 0.4))
            # Of a Markov chain that leaves its range with p and stays out with 2/3, a share p/(p + 1/3) is out.
            tau = exact(tolerated)
            p = Decimal(2) / 3 if was_out else tau / (3 * (1 - tau))
            bets.look([(r if out else 1) / (1 + p * (r - 1)) for r in FACTORS])
            was_out = out
            readings.append({"out": out, "lnE": bets.ln()})
        cases.append({"tolerated": tolerated, "readings": readings})
    return cases


def homogeneity():
    """The largest, over lengths of windows, of mean squares over what even cohorts would have, drawn towards 1."""
    cases = []
    for name, clustered, seconds in (("even", False, 1.0), ("sticky", True, 1.0), ("slow looks", True, 5.0)):
        intervals, estimates = [], []
        burst = [0, 0]
        for i in range(200):
            cohorts = []
            for c, rate in enumerate((60, 20, 5)):
                n = CHANCE.randrange(rate, 2 * rate)
                if clustered and CHANCE.random() < 0.01:
                    burst = [c, 6]
                own = n // 2 if clustered and burst[0] == c and burst[1] > 0 else 0
                cohorts.append([n, min(n, own + sum(CHANCE.random() < 0.01 for _ in range(n)))])
            burst[1] -= 1
            if i >= 150:
                # The last cohort is on the canary from here on.
                cohorts = cohorts[:2] + [[0, 0]]
            intervals.append(cohorts)
            estimates.append(float(dispersion(intervals, seconds)))
        cases.append({"name": name, "seconds": seconds, "intervals": intervals, "dispersions": estimates})
    return cases


def dispersion(intervals, seconds):
    largest = None
    for length in (1, 4, 16, 64):
        looks = -(-length // int(seconds))
        windows = [intervals[i : i + looks] for i in range(0, len(intervals) - looks + 1, looks)]
        before, count = [0, 0, 0], 0
        squares, expected = Fraction(0), Fraction(0)
        for window in windows:
            n = [sum(look[c][0] for look in window) for c in range(3)]
            y = [sum(look[c][1] for look in window) for c in range(3)]
            here = [c for c in range(3) if n[c] > 0]
            known = sum(before[c] for c in here)
            pi = {c: (before[c] + Fraction(n[c], sum(n))) / (known + 1) for c in here}
            even = 1 - sum(share**2 for share in pi.values())
            if sum(y) > 0 and known >= 10 and even > 0:
                count += 1
                squares += sum((y[c] - sum(y) * pi[c]) ** 2 for c in here)
                expected += sum(y) * even * (1 + Fraction(sum(y), known + 1))
            before = [b + more for b, more in zip(before, y)]
        if expected > 0:
            estimate = (count * squares / expected + 4) / (count + 4)
            largest = estimate if largest is None else max(largest, estimate)
    return -1 if largest is None else max(largest, 1)


def ratios():
    cases = []
    for canary, stable, phi, alpha in [
        ((100, 5), (900, 9), 1.0, 0.05),
        ((5_000, 60), (95_000, 480), 1.0, 0.01),
        ((5_000, 60), (95_000, 480), 3.5, 0.05),
        ((10, 10), (10, 1), 1.0, 0.05),
    ]:
        inverse = lambda tally: Decimal(1) / tally[1] - Decimal(1) / tally[0]
        v = exact(phi) * (inverse(canary) + inverse(stable))
        rho2, a = exact(1.6), exact(alpha)
        reach = (v * (1 + v / rho2) * ((1 + rho2 / v) / a**2).ln()).sqrt()
        estimate = Decimal(canary[1] * stable[0]) / (canary[0] * stable[1])
        bounds = [float(estimate / reach.exp()), float(estimate), float(estimate * reach.exp())]
        cases.append({"canary": canary, "stable": stable, "dispersion": phi, "alpha": alpha, "bounds": bounds})
    return cases


def users():
    """The number whose expectation of empty cells, 512·e^(−n/512), is what there is; by bisection."""
    cases = []
    for cells in (0, 1, 3, 50, 100, 256, 400, 511, 512):
        empty = max(512 - cells, 1)
        low, high = Decimal(0), Decimal(10_000)
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if 512 * (-middle / 512).exp() > empty else (low, middle)
        cases.append([cells, float(low)])
    return cases


VECTORS = {
    "comparisons": comparisons(),
    "ceiling": ceilings(),
    "alarms": alarms(),
    "excursions": excursions(),
    "homogeneity": homogeneity(),
    "ratios": ratios(),
    "users": users(),
}
print("{\n" + ",\n".join(f'"{name}": {json.dumps(cases)}' for name, cases in VECTORS.items()) + "\n}")
