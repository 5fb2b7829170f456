"""The figures that the built-in agents must arrive at, computed a second time.

Written from the formulas in docs/agents.md with numpy, whole arrays at a time, and not from the agents' program. Prints expected.json:

    python3 reference.py > expected.json      (numpy >= 1.20)

Prices: java-bindings/examples/data. agents.test.js and the Java tests compare with the fixture; they need neither Python nor numpy.
"""

import csv
import json
import pathlib
from datetime import date

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

DATA = pathlib.Path(__file__).resolve().parents[5] / "java-bindings/examples/data"
FILES = {"SP500": "sp500.csv"}

FORMULAS = {
    "returns": "w[t] = s[t-1], w[0] = 0; r[t] = w[t]*(P[t]/P[t-1]-1) - cost_bps/10000*|w[t]-w[t-1]|; E = E0*cumprod(1+r)",
    "periods_per_year": "(n-1)/((last date - first date)/365.25)",
    "total_return": "E[n-1]/E[0]-1",
    "cagr": "(E[n-1]/E[0])**(periods_per_year/(n-1))-1",
    "volatility": "std(r, ddof=1)*sqrt(periods_per_year)",
    "sharpe": "mean(r)/std(r, ddof=1)*sqrt(periods_per_year)",
    "max_drawdown": "max(1-E/maximum.accumulate(E))",
    "buy_and_hold": "s = 1",
    "momentum": "m = P[t]/P[t-lookback]-1; s = (m > threshold) - (m < -threshold and allow_short)",
    "moving_average_crossover": "s = sign(mean of last fast P - mean of last slow P), below 0 only with allow_short",
    "mean_reversion": "z = (P[t]-mean)/std(ddof=1) over window; in at z <= -entry_z (short: >= entry_z), out at z >= -exit_z (<= exit_z)",
    "kelly": "s = clip(fraction*mean/var(ddof=1) of the last window returns, -max_leverage or 0, max_leverage); f = p-(1-p)/b for given odds",
    "pairs": "z of the last residual of ln A on ln B over window (hedge_ratio fixed: of ln A - h ln B); weights d/(1+|b|), -d*b/(1+|b|)",
}

# Name, agent, symbols, parameters.
CASES = [
    ("buy_and_hold daily", "buy_and_hold", ["SP500"], {}),
    ("buy_and_hold monthly", "buy_and_hold", ["AAPL", "AMZN", "GOOG", "IBM", "MSFT"], {}),
    ("buy_and_hold with costs and capital", "buy_and_hold", ["IBM"], {"cost_bps": 25, "initial_capital": 10000, "periods_per_year": 12}),
    ("momentum daily", "momentum", ["SP500"], {}),
    ("momentum daily, both ways, threshold and costs", "momentum", ["SP500"],
     {"lookback": 120, "threshold": 0.02, "allow_short": True, "cost_bps": 5}),
    ("momentum monthly", "momentum", ["AAPL", "AMZN", "GOOG", "IBM", "MSFT"], {"lookback": 6}),
    ("moving_average_crossover daily", "moving_average_crossover", ["SP500"], {}),
    ("moving_average_crossover daily, both ways", "moving_average_crossover", ["SP500"],
     {"fast": 50, "slow": 200, "allow_short": True, "cost_bps": 10}),
    ("moving_average_crossover monthly", "moving_average_crossover", ["AAPL", "GOOG", "MSFT"], {"fast": 3, "slow": 10}),
    ("mean_reversion daily", "mean_reversion", ["SP500"], {}),
    ("mean_reversion daily, both ways", "mean_reversion", ["SP500"],
     {"window": 10, "entry_z": 1.5, "exit_z": 0, "allow_short": True, "cost_bps": 2}),
    ("mean_reversion monthly", "mean_reversion", ["AMZN", "IBM"], {"window": 12, "entry_z": 1}),
    ("kelly daily", "kelly", ["SP500"], {}),
    ("kelly daily, full, leveraged, both ways", "kelly", ["SP500"],
     {"window": 252, "fraction": 1, "max_leverage": 2, "allow_short": True, "cost_bps": 5}),
    ("kelly monthly", "kelly", ["AAPL", "MSFT"], {"window": 24, "fraction": 0.25}),
    ("kelly of given odds", "kelly", ["SP500"], {"win_probability": 0.55, "win_loss_ratio": 2.0}),
    ("pairs monthly", "pairs", ["IBM", "MSFT"], {"window": 24}),
    ("pairs monthly on common dates", "pairs", ["AAPL", "GOOG"], {"window": 12, "entry_z": 1.5, "exit_z": 0.25, "cost_bps": 10}),
    ("pairs monthly, fixed ratio", "pairs", ["AMZN", "MSFT"], {"window": 36, "entry_z": 1, "exit_z": 0, "hedge_ratio": 1}),
]


def load(symbol):
    with open(DATA / FILES.get(symbol, f"{symbol}.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    column = "adjclose" if "adjclose" in rows[0] else "close"
    return [row["date"] for row in rows], np.array([float(row[column]) for row in rows])


def rolling(values, window):
    """Row t is the window that ends at t; rows before the first whole window are NaN."""
    full = np.full((len(values), window), np.nan)
    full[window - 1:] = sliding_window_view(values, window)
    return full


def banded(z, entry, leave, short):
    """Hysteresis: +1 after z falls to -entry until it rises to -leave; mirrored when short."""
    state, states = 0, []
    for score in z:
        if not np.isnan(score):
            stays = {1: score < -leave, -1: score > leave, 0: False}[state]
            enters = 1 if score <= -entry else -1 if score >= entry and short else 0
            state = state if stays else enters
        states.append(float(state))
    return np.array(states)


def targets(agent, price, p):
    """Fraction of equity from each close on, and what the last one was decided on."""
    short = p.get("allow_short", False)
    if agent == "buy_and_hold":
        return np.ones_like(price), {}
    if agent == "momentum":
        lag, threshold = p.get("lookback", 20), p.get("threshold", 0)
        m = np.full_like(price, np.nan)
        m[lag:] = price[lag:] / price[:-lag] - 1
        return np.where(m > threshold, 1.0, np.where((m < -threshold) & short, -1.0, 0.0)), {"momentum": m[-1]}
    if agent == "moving_average_crossover":
        fast = rolling(price, p.get("fast", 10)).mean(axis=1)
        slow = rolling(price, p.get("slow", 50)).mean(axis=1)
        sign = np.nan_to_num(np.sign(fast - slow))
        return np.clip(sign, -1.0 if short else 0.0, 1.0), {"fast_average": fast[-1], "slow_average": slow[-1]}
    if agent == "mean_reversion":
        windows = rolling(price, p.get("window", 20))
        z = (price - windows.mean(axis=1)) / windows.std(axis=1, ddof=1)
        return banded(z, p.get("entry_z", 2), p.get("exit_z", 0.5), short), {"z": z[-1]}
    if agent == "kelly":
        most = p.get("max_leverage", 1)
        least = -most if short else 0.0
        if "win_probability" in p:
            win, ratio = p["win_probability"], p["win_loss_ratio"]
            full = np.full_like(price, (win * ratio - (1 - win)) / ratio)
        else:
            windows = rolling(np.concatenate([[np.nan], np.diff(price) / price[:-1]]), p.get("window", 60))
            full = windows.mean(axis=1) / windows.var(axis=1, ddof=1)
        return np.nan_to_num(np.clip(p.get("fraction", 0.5) * full, least, most)), {"kelly_fraction": full[-1]}
    raise ValueError(agent)


def pair_weights(a, b, p):
    """Weights of both legs from each close on, the spread's direction, and the last score and ratio."""
    window, n = p.get("window", 60), len(a)
    x, y = np.log(b), np.log(a)
    z, ratio = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(window - 1, n):
        last = slice(t + 1 - window, t + 1)
        if "hedge_ratio" in p:
            ratio[t] = p["hedge_ratio"]
            residual = y[last] - ratio[t] * x[last]
            residual = residual - residual.mean()
        else:
            line = np.column_stack([np.ones(window), x[last]])
            solution = np.linalg.lstsq(line, y[last], rcond=None)[0]
            ratio[t] = solution[1]
            residual = y[last] - line @ solution
        z[t] = residual[-1] / residual.std(ddof=1)
    direction = banded(z, p.get("entry_z", 2), p.get("exit_z", 0.5), True)
    changed = np.concatenate([[True], np.diff(direction) != 0])
    entered = ratio[np.maximum.accumulate(np.where(changed, np.arange(n), 0))]  # the ratio when the direction last changed
    gross = 1 + np.abs(entered)
    weight_a = np.where(direction == 0, 0.0, direction / gross)
    weight_b = np.where(direction == 0, 0.0, -direction * entered / gross)
    return weight_a, weight_b, direction, {"z": z[-1], "hedge_ratio": ratio[-1]}


def held(target):
    return np.concatenate([[0.0], target[:-1]])


def figures(dates, legs, p):
    """`legs`: prices and targets of each."""
    n = len(dates)
    r = np.zeros(n)
    for price, target in legs:
        w = held(target)
        r[1:] += w[1:] * (price[1:] / price[:-1] - 1) - p.get("cost_bps", 0) / 10000 * np.abs(np.diff(w))
    equity = p.get("initial_capital", 1.0) * np.cumprod(1 + r)
    assert equity.min() > 0
    days = (date.fromisoformat(dates[-1]) - date.fromisoformat(dates[0])).days
    per_year = p.get("periods_per_year", (n - 1) / (days / 365.25))
    r = r[1:]
    picks = sorted({0, 1, n // 4, n // 2, 3 * n // 4, n - 1})
    return {
        "observations": n,
        "periods_per_year": per_year,
        "total_return": equity[-1] / equity[0] - 1,
        "cagr": (equity[-1] / equity[0]) ** (per_year / (n - 1)) - 1,
        "volatility": r.std(ddof=1) * np.sqrt(per_year),
        "sharpe": r.mean() / r.std(ddof=1) * np.sqrt(per_year),
        "max_drawdown": np.max(1 - equity / np.maximum.accumulate(equity)),
        "equity_sum": equity.sum(),
        "equity_at": {str(i): equity[i] for i in picks},
    }


def trade_facts(dates, price, target):
    """Number of trades, the first and the last one, and the position of the last period."""
    w = held(target)
    at = np.flatnonzero(np.diff(w)) + 1
    facts = {"trade_count": len(at), "final_position": w[-1]}
    for name, index in zip(("first_trade", "last_trade"), at[[0, -1]] if len(at) else ()):
        facts[name] = {"index": index, "date": dates[index], "action": "buy" if w[index] > w[index - 1] else "sell", "position": w[index]}
        if price is not None:
            facts[name]["price"] = price[index - 1]
    return facts


def expect(agent, symbols, p):
    if agent != "pairs":
        answer = {}
        for symbol in symbols:
            dates, price = load(symbol)
            target, indicators = targets(agent, price, p)
            answer[symbol] = {
                **figures(dates, [(price, target)], p),
                **trade_facts(dates, price, target),
                "signal": {"date": dates[-1], "position": target[-1], **indicators},
            }
        return answer
    (dates_a, price_a), (dates_b, price_b) = map(load, symbols)
    dates = sorted(set(dates_a) & set(dates_b))
    a = price_a[[dates_a.index(day) for day in dates]]
    b = price_b[[dates_b.index(day) for day in dates]]
    weight_a, weight_b, direction, indicators = pair_weights(a, b, p)
    common = figures(dates, [(a, weight_a), (b, weight_b)], p)
    answer = {
        "/".join(symbols): {
            **common, **trade_facts(dates, None, direction), "signal": {"date": dates[-1], "position": direction[-1], **indicators},
        },
    }
    for symbol, price, weight in zip(symbols, (a, b), (weight_a, weight_b)):
        answer[symbol] = {**common, **trade_facts(dates, price, weight), "signal": {"date": dates[-1], "position": weight[-1]}}
    return answer


def main():
    cases = [
        {"name": name, "agent_type": agent, "symbols": symbols, "params": params, "expected": expect(agent, symbols, params)}
        for name, agent, symbols, params in CASES
    ]
    document = {
        "made_by": "reference.py",
        "data": "java-bindings/examples/data; SP500 is sp500.csv, every other symbol <SYMBOL>.csv",
        "compare": "numbers: |got - expected| <= 1e-9 * |expected|; equity_sum: sum of equity_curve; equity_at: equity_curve by index; "
                   "first_trade and last_trade: keys of the first and last entry of trades; keys not named here are not compared",
        "formulas": FORMULAS,
        "cases": cases,
    }
    print(json.dumps(document, indent=1, default=lambda value: value.item()))


main()
