// The built-in agents against figures computed elsewhere: reference.py's over real prices (expected.json), and small cases whose
// arithmetic stands beside them. Run: node --test rust/crates/agents/programs/test/*.test.js
'use strict';

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { spawnSync } = require('node:child_process');

const DATA = path.join(__dirname, '../../../../../java-bindings/examples/data');
const PROGRAM = new vm.Script(fs.readFileSync(path.join(__dirname, '../agents.js'), 'utf8'), { filename: 'agents.js' });
const fixture = JSON.parse(fs.readFileSync(path.join(__dirname, 'expected.json'), 'utf8'));

/** A realm with nothing in it but the language, as in the embedded engine. */
function engine() {
  const realm = vm.createContext(Object.create(null), { codeGeneration: { strings: true, wasm: false } });
  PROGRAM.runInContext(realm);
  return realm;
}

const shared = engine();

function call(agentType, symbols, params, files) {
  const input = { agent_type: agentType, symbols, params: params ?? {} };
  if (files) input.files = files;
  return JSON.parse(shared.e2bridgeAgent(JSON.stringify(input)));
}

function run(agentType, symbols, params, files) {
  const answer = call(agentType, symbols, params, files);
  assert.ok(answer.ok, answer.message);
  return answer.result;
}

/** One symbol, prices as numbers. */
function runOn(agentType, prices, params) {
  return run(agentType, ['X'], { ...params, prices: { X: prices } }).X;
}

function refused(answer, argument, message) {
  assert.equal(answer.ok, false, JSON.stringify(answer).slice(0, 200));
  assert.equal(answer.code, 'INVALID_ARGUMENT', answer.message);
  assert.equal(answer.argument, argument);
  assert.ok(answer.message.startsWith(`${argument}: `), answer.message);
  assert.match(answer.message, message);
}

function close(got, expected, what) {
  if (typeof expected !== 'number') {
    assert.deepEqual(got, expected, what);
    return;
  }
  assert.equal(typeof got, 'number', what);
  assert.ok(Math.abs(got - expected) <= 1e-9 * Math.abs(expected), `${what}: got ${got}, expected ${expected}`);
}

function closeAll(got, expected, what) {
  assert.equal(got.length, expected.length, what);
  expected.forEach((value, i) => close(got[i], value, `${what}[${i}]`));
}

function csvOf(symbol) {
  return fs.readFileSync(path.join(DATA, symbol === 'SP500' ? 'sp500.csv' : `${symbol}.csv`), 'utf8');
}

// ---------------------------------------------------------------- real prices, second computation

for (const { name, agent_type: agentType, symbols, params, expected } of fixture.cases) {
  test(`as reference.py: ${name}`, () => {
    const files = Object.fromEntries(symbols.map((symbol) => [symbol, csvOf(symbol)]));
    const result = run(agentType, symbols, params, files);
    assert.deepEqual(Object.keys(result).sort(), Object.keys(expected).sort());
    for (const [key, figures] of Object.entries(expected)) {
      const got = result[key];
      for (const [figure, value] of Object.entries(figures)) {
        if (figure === 'equity_sum') {
          close(got.equity_curve.reduce((sum, equity) => sum + equity, 0), value, `${key} equity_sum`);
        } else if (figure === 'equity_at') {
          for (const [i, equity] of Object.entries(value)) close(got.equity_curve[i], equity, `${key} equity ${i}`);
        } else if (figure === 'first_trade' || figure === 'last_trade') {
          const trade = got.trades[figure === 'first_trade' ? 0 : got.trades.length - 1];
          for (const [fact, fine] of Object.entries(value)) close(trade[fact], fine, `${key} ${figure} ${fact}`);
        } else if (figure === 'signal') {
          for (const [fact, fine] of Object.entries(value)) close(got.signal[fact], fine, `${key} signal ${fact}`);
        } else {
          close(got[figure], value, `${key} ${figure}`);
        }
      }
      assert.equal(got.equity_curve.length, got.observations);
      assert.equal(got.dates.length, got.observations);
      assert.equal(got.trades.length, got.trade_count);
    }
  });
}

test('prices as an argument and as a file give the same result', () => {
  const text = csvOf('IBM');
  const rows = text.trim().split('\n').slice(1).map((row) => row.split(','));
  const prices = { IBM: rows.map(([date, price]) => ({ date, close: Number(price) })) };
  assert.deepEqual(run('momentum', ['IBM'], { prices }), run('momentum', ['IBM'], {}, { IBM: text }));
  const bare = run('momentum', ['IBM'], { prices: { IBM: prices.IBM.map((row) => row.close) }, periods_per_year: 12 }).IBM;
  const dated = run('momentum', ['IBM'], { prices, periods_per_year: 12 }).IBM;
  assert.deepEqual(bare.equity_curve, dated.equity_curve);
  assert.equal(bare.dates, undefined);
  assert.equal(bare.signal.date, undefined);
});

test('reference.py makes the fixture', (context) => {
  const made = spawnSync('python3', ['-B', path.join(__dirname, 'reference.py')], { encoding: 'utf8' });
  if (made.error || /No module named 'numpy'/.test(made.stderr)) {
    context.skip('python3 with numpy is not here');
    return;
  }
  assert.equal(made.status, 0, made.stderr);
  // Another numpy or processor may round otherwise in the last digits.
  const compare = (got, expected, at) => {
    if (expected !== null && typeof expected === 'object') {
      assert.deepEqual(Object.keys(got), Object.keys(expected), at);
      for (const key of Object.keys(expected)) compare(got[key], expected[key], `${at}.${key}`);
    } else {
      close(got, expected, at);
    }
  };
  compare(JSON.parse(made.stdout), fixture, 'expected');
});

// ---------------------------------------------------------------- small cases, by hand

test('buy_and_hold: 100, 110, 99, 121', () => {
  // r = 27/270, -27/270, 60/270: mean 20/270, deviations 7/270, -47/270, 40/270, variance (49 + 2209 + 1600) / 2 / 270^2.
  const got = runOn('buy_and_hold', [100, 110, 99, 121]);
  const sd = Math.sqrt(1929) / 270;
  closeAll(got.equity_curve, [1, 1.1, 0.99, 1.21], 'equity');
  close(got.total_return, 0.21, 'total_return');
  close(got.cagr, 1.21 ** (252 / 3) - 1, 'cagr');
  close(got.volatility, sd * Math.sqrt(252), 'volatility');
  close(got.sharpe, (20 / 270 / sd) * Math.sqrt(252), 'sharpe');
  close(got.max_drawdown, 1 - 0.99 / 1.1, 'max_drawdown');
  assert.equal(got.periods_per_year, 252);
  assert.equal(got.observations, 4);
  assert.equal(got.final_position, 1);
  assert.equal(got.ruined, false);
  assert.deepEqual(got.trades, [{ index: 1, signal_index: 0, action: 'buy', price: 100, change: 1, position: 1 }]);
  assert.deepEqual(got.signal, { index: 3, position: 1 });
});

test('periods per year come from the dates: (n - 1) / (days / 365.25)', () => {
  const prices = [['2020-01-01', 100], ['2020-04-01', 101], ['2020-07-01', 99], ['2021-01-01', 110]]
    .map(([date, price]) => ({ date, close: price }));
  // 2020 is a leap year: 366 days.
  const got = runOn('buy_and_hold', prices);
  close(got.periods_per_year, 3 / (366 / 365.25), 'periods_per_year');
  close(got.cagr, 1.1 ** (365.25 / 366) - 1, 'cagr');
  assert.deepEqual(got.dates, prices.map((row) => row.date));
  assert.deepEqual(got.trades[0], {
    index: 1, date: '2020-04-01', signal_index: 0, signal_date: '2020-01-01', action: 'buy', price: 100, change: 1, position: 1,
  });
  assert.deepEqual(got.signal, { index: 3, date: '2021-01-01', position: 1 });
  assert.equal(runOn('buy_and_hold', prices, { periods_per_year: 4 }).periods_per_year, 4);
});

test('RFC 3339 dates count as instants', () => {
  const dates = ['2020-01-01T00:00:00Z', '2020-01-01T03:00:00.5+02:30', '2020-01-01 01:00:00z', '2020-01-02'];
  const got = runOn('buy_and_hold', dates.map((date, i) => ({ date, close: 100 + i })));
  close(got.periods_per_year, 3 * 365.25, 'periods_per_year');
  assert.deepEqual(got.dates, dates);
  const farApart = runOn('buy_and_hold', [{ date: '0001-01-01', close: 1 }, { date: '9999-12-31', close: 2 }]);
  close(farApart.periods_per_year, 365.25 / 3652058, 'periods_per_year'); // days of the proleptic Gregorian calendar between them
});

test('a signal at close t is a position from t+1, never earlier', () => {
  // lookback 1: closes rise, fall, rise, fall; the signal is right about the past and wrong about the next period.
  const got = runOn('momentum', [100, 110, 100, 110, 100], { lookback: 1 });
  // targets at t = 1..4: 1, 0, 1, 0. Held in periods 2 and 4, both of which fall from 110 to 100.
  closeAll(got.equity_curve, [1, 1, 10 / 11, 10 / 11, 100 / 121], 'equity');
  assert.deepEqual(got.trades.map((trade) => [trade.index, trade.action, trade.price]), [[2, 'buy', 110], [3, 'sell', 100], [4, 'buy', 110]]);
  assert.equal(got.final_position, 1);
  assert.equal(got.signal.position, 0);
  close(got.signal.momentum, 100 / 110 - 1, 'momentum');
});

test('a later price changes no earlier position', () => {
  const text = csvOf('IBM').trim().split('\n');
  const prices = text.slice(1).map((row) => Number(row.split(',')[1]));
  const cases = [
    ['momentum', { lookback: 5, allow_short: true }], ['moving_average_crossover', { fast: 3, slow: 9, allow_short: true }],
    ['mean_reversion', { window: 8, entry_z: 1, allow_short: true }], ['kelly', { window: 10, allow_short: true }],
  ];
  for (const [agent, params] of cases) {
    const whole = runOn(agent, prices, params);
    const cut = runOn(agent, prices.slice(0, 80), params);
    assert.deepEqual(cut.equity_curve, whole.equity_curve.slice(0, 80), agent);
    assert.ok(cut.trade_count > 3, agent);
    assert.deepEqual(cut.trades, whole.trades.slice(0, cut.trade_count), agent);
  }
});

test('momentum: threshold and shorts', () => {
  const prices = [100, 104, 106, 100, 94, 99];
  // One-period returns: 4 %, 1.92 %, -5.66 %, -6 %, 5.32 %; threshold 5 %: targets 0, 0, -1, -1, +1 at t = 1..5.
  const got = runOn('momentum', prices, { lookback: 1, threshold: 0.05, allow_short: true });
  closeAll(got.equity_curve, [1, 1, 1, 1, 2 - 94 / 100, (2 - 94 / 100) * (2 - 99 / 94)], 'equity');
  assert.equal(got.signal.position, 1);
  assert.equal(runOn('momentum', prices, { lookback: 1, threshold: 0.05 }).trade_count, 0);
});

test('costs are taken per unit of turnover', () => {
  // 50 basis points: 0.5 % on entering, 1 % on turning from long to short.
  const got = runOn('momentum', [100, 110, 99, 99], { lookback: 1, allow_short: true, cost_bps: 50, initial_capital: 1000 });
  // targets at t = 1, 2: +1, -1; period 2 earns -10 % - 0.5 %, period 3 earns 0 - 1 %.
  closeAll(got.equity_curve, [1000, 1000, 895, 895 * 0.99], 'equity');
  assert.deepEqual(got.trades.map((trade) => [trade.action, trade.change, trade.position]), [['buy', 1, 1], ['sell', -2, -1]]);
});

test('moving_average_crossover: 1-period against 2-period mean is the sign of the last change', () => {
  const got = runOn('moving_average_crossover', [10, 12, 9, 9, 18], { fast: 1, slow: 2, allow_short: true });
  // targets at t = 1..4: +1, -1, 0 (equal), +1.
  closeAll(got.equity_curve, [1, 1, 0.75, 0.75, 0.75], 'equity');
  assert.equal(got.signal.fast_average, 18);
  assert.equal(got.signal.slow_average, 13.5);
  assert.equal(got.signal.position, 1);
  assert.equal(got.final_position, 0);
});

test('moving_average_crossover: equal means of unequal sums are equal', () => {
  const got = runOn('moving_average_crossover', new Array(60).fill(0.1), { allow_short: true });
  assert.equal(got.trade_count, 0);
  assert.equal(got.signal.position, 0);
  // Thrice the same three prices: both means are 0.3, in doubles they differ by 6e-17.
  const rounded = runOn('moving_average_crossover', [0.1, 0.1, 0.7, 0.1, 0.1, 0.7, 0.1, 0.1, 0.7, 0.1], { fast: 3, slow: 9 });
  assert.equal(rounded.trade_count, 0);
});

test('mean_reversion: window 3', () => {
  // z of (10, 10, 7): mean 9, sample sd sqrt((1 + 1 + 4) / 2) = sqrt 3, z = -2 / sqrt 3 = -1.1547: in at entry_z 1.
  // (10, 7, 8): mean 25/3, sd sqrt(7/3), z = -0.2182: out at exit_z 0.5. (7, 8, 12): mean 9, sd sqrt 7, z = 3 / sqrt 7 = 1.1339: short.
  // (8, 12, 12): mean 32/3, sd sqrt(16/3), z = 0.5774 > exit_z: still short. (12, 12, 9): z = -1.1547: out and long at one close.
  const prices = [10, 10, 7, 8, 12, 12, 9, 10];
  const params = { window: 3, entry_z: 1, exit_z: 0.5 };
  const long = runOn('mean_reversion', prices, params);
  closeAll(long.equity_curve, [1, 1, 1, 8 / 7, 8 / 7, 8 / 7, 8 / 7, (8 / 7) * (10 / 9)], 'long only');
  const both = runOn('mean_reversion', prices, { ...params, allow_short: true });
  const short = (8 / 7) * 1 * (2 - 9 / 12);
  closeAll(both.equity_curve, [1, 1, 1, 8 / 7, 8 / 7, 8 / 7, short, short * (10 / 9)], 'both ways');
  assert.deepEqual(both.trades.map((trade) => trade.position), [1, 0, -1, 1]);
  // (12, 9, 10): mean 31/3, sd sqrt(7/3).
  close(both.signal.z, (10 - 31 / 3) / Math.sqrt(7 / 3), 'z');
});

test('mean_reversion: a window without deviation has z = 0', () => {
  const got = runOn('mean_reversion', new Array(30).fill(0.3));
  assert.equal(got.signal.z, 0);
  assert.equal(got.trade_count, 0);
});

test('kelly: half of mean over variance, capped', () => {
  // Returns +10 %, -5 %, then +20 %: window 2 has mean 0.025, variance (0.075^2 + 0.075^2) / 1 = 0.01125, f = 2.2222.
  const prices = [100, 110, 104.5, 125.4];
  const got = runOn('kelly', prices, { window: 2, fraction: 0.25 });
  closeAll(got.equity_curve, [1, 1, 1, 1 + (0.25 * 0.025 / 0.01125) * 0.2], 'equity');
  // Last window -5 %, +20 %: mean 0.075, variance 0.03125, f = 2.4.
  close(got.kelly_fraction, 2.4, 'kelly_fraction');
  close(got.signal.position, 0.6, 'position');
  close(got.signal.variance, 0.03125, 'variance');
  closeAll(runOn('kelly', prices, { window: 2 }).equity_curve, [1, 1, 1, 1.2], 'capped at 1');
  close(runOn('kelly', prices, { window: 2, max_leverage: 3 }).signal.position, 1.2, 'leveraged');
  const falling = [100, 90, 85, 79, 70];
  assert.equal(runOn('kelly', falling, { window: 2 }).trade_count, 0);
  assert.equal(runOn('kelly', falling, { window: 2, allow_short: true }).final_position, -1);
});

test('kelly: growth without deviation is bounded by max_leverage, standstill is not bet on', () => {
  const growing = Array.from({ length: 10 }, (_, i) => 2 ** i);
  const got = runOn('kelly', growing, { window: 3, max_leverage: 1.5 });
  assert.equal(got.signal.position, 1.5);
  assert.equal(got.kelly_fraction, null);
  const falling = [...growing].reverse();
  assert.equal(runOn('kelly', falling, { window: 3 }).signal.position, 0);
  assert.equal(runOn('kelly', falling, { window: 3, allow_short: true }).signal.position, -1);
  assert.equal(runOn('kelly', new Array(10).fill(7.1), { window: 3 }).signal.position, 0);
});

test('kelly: given odds need no prices: 0.55 - 0.45 / 2 = 0.325', () => {
  const odds = { win_probability: 0.55, win_loss_ratio: 2.0 };
  const sized = run('kelly', ['X', 'Y'], { ...odds, prices: { Y: [100, 110, 121] } });
  close(sized.X.kelly_fraction, 0.325, 'kelly_fraction');
  close(sized.X.signal.position, 0.1625, 'half Kelly');
  assert.equal(sized.X.observations, 0);
  assert.equal(sized.X.final_position, 0);
  assert.equal(sized.X.total_return, null);
  assert.deepEqual(sized.X.equity_curve, []);
  closeAll(sized.Y.equity_curve, [1, 1.01625, 1.01625 ** 2], 'equity');
  close(sized.Y.kelly_fraction, 0.325, 'kelly_fraction');
  assert.deepEqual(Object.keys(sized.X).sort(), Object.keys(sized.Y).sort());
  // A losing game is not played: 0.4 - 0.6 / 1 = -0.2.
  const losing = run('kelly', ['X'], { win_probability: 0.4, win_loss_ratio: 1 }).X;
  close(losing.kelly_fraction, -0.2, 'kelly_fraction');
  assert.equal(losing.signal.position, 0);
  close(run('kelly', ['X'], { win_probability: 0.4, win_loss_ratio: 1, allow_short: true }).X.signal.position, -0.1, 'other side');
});

test('pairs: fixed ratio, by hand', () => {
  // B stands still, so that the spread ln A - ln B moves with ln A. Window 3, A = 100 100 81 90 100:
  // ln 0.81 = 2 ln 0.9: spreads 0, 0, -2k: mean -2k/3, sd sqrt((4/9 + 4/9 + 16/9) k^2 / 2) = sqrt(12/9) k: z = -(4/3) / sqrt(4/3).
  // In at 1.1547 >= 1. Then 0, -2k, -k: mean -k: z = 0: out at exit_z 0.5. Weights 1/2 and -1/2.
  const prices = { A: [100, 100, 81, 90, 100], B: [50, 50, 50, 50, 50] };
  const got = run('pairs', ['A', 'B'], { prices, window: 3, entry_z: 1, exit_z: 0.5, hedge_ratio: 1 });
  assert.deepEqual(Object.keys(got), ['A/B', 'A', 'B']);
  closeAll(got['A/B'].equity_curve, [1, 1, 1, 1 + 0.5 / 9, 1 + 0.5 / 9], 'equity');
  assert.deepEqual(got['A/B'].trades.map((trade) => [trade.index, trade.action, trade.position, trade.weights, trade.prices]),
    [[3, 'buy', 1, { A: 0.5, B: -0.5 }, { A: 81, B: 50 }], [4, 'sell', 0, { A: 0, B: 0 }, { A: 90, B: 50 }]]);
  close(got['A/B'].trades[0].z, -Math.sqrt(4 / 3), 'z');
  assert.deepEqual(got.A.trades.map((trade) => [trade.action, trade.price, trade.position]), [['buy', 81, 0.5], ['sell', 90, 0]]);
  assert.deepEqual(got.B.trades.map((trade) => [trade.action, trade.price, trade.position]), [['sell', 50, -0.5], ['buy', 50, 0]]);
  assert.deepEqual(got.A.equity_curve, got['A/B'].equity_curve);
  assert.equal(got.A.pair, 'A/B');
  close(got.A.contribution, 0.5 / 9, 'contribution');
  assert.equal(got.B.contribution, 0);
});

test('pairs: the least-squares ratio finds an exponent', () => {
  // A = B^2 but for a dent that the line has to be fitted through at the last close.
  const b = Array.from({ length: 30 }, (_, i) => 50 + 10 * Math.sin(i));
  const a = b.map((price) => price ** 2 / 25);
  const straight = run('pairs', ['A', 'B'], { prices: { A: a, B: b }, window: 10 })['A/B'];
  close(straight.signal.hedge_ratio, 2, 'hedge_ratio');
  assert.equal(straight.signal.z, 0);
  assert.equal(straight.trade_count, 0);
  a[20] *= 0.9;
  const dented = run('pairs', ['A', 'B'], { prices: { A: a, B: b }, window: 10 });
  const [entry] = dented['A/B'].trades;
  assert.equal(entry.signal_index, 20);
  assert.equal(entry.position, 1);
  close(entry.weights.A + Math.abs(entry.weights.B), 1, 'gross weight');
  close(-entry.weights.B / entry.weights.A, entry.hedge_ratio, 'ratio of the weights');
  // With costs nil, what the legs earned is what the pair earned.
  close(dented.A.contribution + dented.B.contribution, dented['A/B'].total_return, 'contributions');
});

test('pairs: a negative ratio holds both legs on one side, their sizes still add up to 1', () => {
  const b = Array.from({ length: 30 }, (_, i) => 50 + 10 * Math.sin(i));
  const a = b.map((price) => 1000 / price);
  a[20] *= 1.1;
  const got = run('pairs', ['A', 'B'], { prices: { A: a, B: b }, window: 10 })['A/B'];
  const [entry] = got.trades;
  assert.equal(entry.position, -1);
  assert.ok(entry.hedge_ratio < -0.5);
  assert.ok(entry.weights.A < 0 && entry.weights.B < 0);
  close(entry.weights.A + entry.weights.B, -1, 'gross weight');
});

test('pairs: no slope on a leg that stands still', () => {
  const prices = { A: [1, 2, 3, 4, 1, 2], B: [5, 5, 5, 5, 5, 5] };
  const got = run('pairs', ['A', 'B'], { prices, window: 3, entry_z: 0.5, exit_z: 0 })['A/B'];
  assert.equal(got.trade_count, 0);
  assert.equal(got.signal.hedge_ratio, null);
  assert.equal(got.signal.z, 0);
});

test('pairs: only common dates count', () => {
  const dated = (rows) => rows.map(([day, price]) => ({ date: `2020-01-${day}`, close: price }));
  const prices = {
    A: dated([['01', 10], ['02', 11], ['03', 9], ['06', 12], ['07', 13]]),
    B: dated([['02', 20], ['03', 21], ['04', 1], ['06', 22], ['07', 23], ['08', 24]]),
  };
  const got = run('pairs', ['A', 'B'], { prices, window: 3 });
  assert.deepEqual(got['A/B'].dates, ['2020-01-02', '2020-01-03', '2020-01-06', '2020-01-07']);
  assert.deepEqual(got['A/B'].dropped, { A: 1, B: 2 });
  refused(call('pairs', ['A', 'B'], { prices, window: 4 }), 'strategy_params.prices', /A and B must have at least 5 prices on common dates.*got 4/);
  refused(call('pairs', ['A', 'B'], { prices: { A: prices.A, B: [1, 2, 3] } }), 'strategy_params.prices', /A has them, B has not/);
  refused(call('pairs', ['A', 'B'], { prices: { A: [1, 2, 3], B: prices.B } }), 'strategy_params.prices', /B has them, A has not/);
  refused(call('pairs', ['A', 'B'], { prices: { A: [1, 2], B: [1, 2, 3] } }), 'strategy_params.prices', /A has 2 and B has 3/);
});

test('pairs takes exactly two symbols', () => {
  for (const symbols of [['A'], ['A', 'B', 'C']]) {
    refused(call('pairs', symbols, { prices: { A: [1], B: [1], C: [1] } }), 'symbols', new RegExp(`exactly two symbols, got ${symbols.length}`));
  }
});

test('no deviation: volatility 0, no Sharpe ratio', () => {
  const flat = runOn('buy_and_hold', [5, 5, 5, 5]);
  assert.equal(flat.volatility, 0);
  assert.equal(flat.sharpe, null);
  assert.equal(flat.max_drawdown, 0);
  assert.equal(flat.cagr, 0);
  // 1 % a period: the deviation of the returns is rounding alone.
  const steady = runOn('buy_and_hold', Array.from({ length: 50 }, (_, i) => 100 * 1.01 ** i));
  assert.equal(steady.sharpe, null);
  const two = runOn('buy_and_hold', [100, 101]);
  assert.equal(two.sharpe, null);
  assert.equal(two.volatility, null);
});

test('a fall below zero equity is ruin and stays it', () => {
  // Short from 10; the price triples: -200 %.
  const got = runOn('momentum', [12, 10, 30, 10, 8, 6], { lookback: 1, allow_short: true });
  assert.deepEqual(got.equity_curve, [1, 1, 0, 0, 0, 0]);
  assert.equal(got.ruined, true);
  assert.equal(got.total_return, -1);
  assert.equal(got.cagr, -1);
  assert.equal(got.max_drawdown, 1);
  assert.equal(got.final_position, 0);
  assert.deepEqual(got.trades, [
    { index: 2, signal_index: 1, action: 'sell', price: 10, change: -1, position: -1 },
    { index: 2, signal_index: 2, action: 'liquidate', price: 30, change: 1, position: 0 },
  ]);
  // Returns 0, -1 and three zeros, with costs or without: mean -1/5, variance 4/5 / 4.
  close(got.sharpe, (-1 / 5 / Math.sqrt(1 / 5)) * Math.sqrt(252), 'sharpe');
  const charged = runOn('momentum', [12, 10, 30, 10, 8, 6], { lookback: 1, allow_short: true, cost_bps: 10 });
  assert.deepEqual([charged.sharpe, charged.equity_curve, charged.trades], [got.sharpe, got.equity_curve, got.trades]);
  const pair = run('pairs', ['A', 'B'], {
    prices: { A: [100, 100, 121, 500, 100, 100], B: [50, 50, 50, 50, 50, 50] }, window: 3, entry_z: 1, exit_z: 0.5, hedge_ratio: 1,
  });
  for (const key of ['A/B', 'A', 'B']) {
    assert.deepEqual(pair[key].equity_curve, [1, 1, 1, 0, 0, 0]);
    assert.equal(pair[key].trades[1].action, 'liquidate');
    assert.equal(pair[key].final_position, 0);
  }
  assert.deepEqual(pair['A/B'].trades.map((trade) => [trade.index, trade.signal_index, trade.position]), [[3, 2, -1], [3, 3, 0]]);
});

test('a figure outside the range of a double is null', () => {
  const prices = [{ date: '2020-01-01T00:00:00Z', close: 1 }, { date: '2020-01-01T00:00:01Z', close: 9 }, { date: '2020-01-01T00:00:02Z', close: 10 }];
  assert.equal(runOn('buy_and_hold', prices).cagr, null);
});

test('symbols and parameters named like members of Object', () => {
  for (const symbol of ['__proto__', 'constructor', 'toString']) {
    const text = `{"agent_type":"buy_and_hold","symbols":["${symbol}"],"params":{"prices":{"${symbol}":[1,2]}}}`;
    const answer = JSON.parse(shared.e2bridgeAgent(text));
    assert.ok(answer.ok, answer.message);
    assert.ok(Object.hasOwn(answer.result, symbol));
    refused(call('buy_and_hold', [symbol], {}), 'strategy_params.prices', /no prices for/);
    refused(JSON.parse(shared.e2bridgeAgent(`{"agent_type":"kelly","symbols":["X"],"params":{"${symbol}":1}}`)),
      `strategy_params.${symbol}`, /is not a parameter/);
  }
});

// ---------------------------------------------------------------- refusals

test('an unknown agent is not found and the known ones are named', () => {
  for (const name of ['arbitrage', 'toString', '__proto__']) {
    const answer = call(name, ['X'], {});
    assert.equal(answer.ok, false);
    assert.equal(answer.code, 'NOT_FOUND');
    assert.equal(answer.argument, 'agent_type');
    assert.match(answer.message, /buy_and_hold, momentum, moving_average_crossover, mean_reversion, kelly, pairs/);
  }
});

test('missing prices: both ways are named', () => {
  for (const prices of [undefined, null, {}, { Y: [1, 2] }]) {
    const params = prices === undefined ? {} : { prices };
    refused(call('momentum', ['SPY'], params), 'strategy_params.prices', /strategy_params\.prices\.SPY .*\/data\/SPY\.csv/);
  }
});

test('parameters: names, types and ranges', () => {
  const on = (agent, params) => call(agent, ['X'], { prices: { X: Array.from({ length: 100 }, (_, i) => 100 + (i % 7)) }, ...params });
  const cases = [
    ['momentum', { lookbak: 3 }, 'lookbak', /not a parameter of momentum, which has lookback, threshold, allow_short; every agent has prices, timeout, cost_bps, initial_capital, periods_per_year/],
    ['buy_and_hold', { lookback: 3 }, 'lookback', /has none of its own/],
    ['momentum', { lookback: 0 }, 'lookback', /whole number between 1 and 1000000, got 0/],
    ['momentum', { lookback: 2.5 }, 'lookback', /got 2\.5/],
    ['momentum', { lookback: '20' }, 'lookback', /got the string "20"/],
    ['momentum', { lookback: [20] }, 'lookback', /got an array/],
    ['momentum', { lookback: 1e7 }, 'lookback', /got 10000000/],
    ['momentum', { threshold: -0.1 }, 'threshold', />= 0, got -0\.1/],
    ['momentum', { allow_short: 1 }, 'allow_short', /true or false, got 1/],
    ['momentum', { cost_bps: -1 }, 'cost_bps', />= 0 and <= 10000/],
    ['momentum', { cost_bps: 10001 }, 'cost_bps', /got 10001/],
    ['momentum', { initial_capital: 0 }, 'initial_capital', /> 0, got 0/],
    ['momentum', { periods_per_year: true }, 'periods_per_year', /got the boolean true/],
    ['momentum', { prices: [1, 2] }, 'prices', /an object with an array per symbol, got an array/],
    ['moving_average_crossover', { fast: 50 }, 'fast', /less than slow \(50\), got 50/],
    ['moving_average_crossover', { slow: 1 }, 'slow', /between 2/],
    ['mean_reversion', { window: 1 }, 'window', /between 2/],
    ['mean_reversion', { entry_z: 0 }, 'entry_z', /> 0/],
    ['mean_reversion', { exit_z: 2 }, 'exit_z', /less than entry_z \(2\), got 2/],
    ['kelly', { fraction: 1.1 }, 'fraction', /> 0 and <= 1/],
    ['kelly', { max_leverage: 0 }, 'max_leverage', /> 0 and <= 100/],
    ['kelly', { win_probability: 0.5 }, 'win_loss_ratio', /must be there when win_probability is/],
    ['kelly', { win_loss_ratio: 2 }, 'win_probability', /must be there when win_loss_ratio is/],
    ['kelly', { win_probability: 1.5, win_loss_ratio: 2 }, 'win_probability', />= 0 and <= 1/],
    ['kelly', { win_probability: 0.5, win_loss_ratio: 0 }, 'win_loss_ratio', /> 0/],
    ['kelly', { win_probability: 0.5, win_loss_ratio: 5e-324 }, 'win_loss_ratio', /no finite fraction/],
    ['kelly', { win_probability: 0.5, win_loss_ratio: 2, window: 10 }, 'window', /given or estimated/],
    ['pairs', { hedge_ratio: 0 }, 'hedge_ratio', /> 0/],
    ['pairs', { window: 2 }, 'window', /between 3/],
  ];
  for (const [agent, params, name, message] of cases) refused(on(agent, params), `strategy_params.${name}`, message);
  // 1e999 is what JSON can say of infinity.
  refused(JSON.parse(shared.e2bridgeAgent('{"agent_type":"kelly","symbols":["X"],"params":{"fraction":1e999}}')),
    'strategy_params.fraction', /got Infinity/);
  refused(JSON.parse(shared.e2bridgeAgent('{"agent_type":"kelly","symbols":["X"],"params":[]}')), 'strategy_params', /an object, got an array/);
});

test('null is absent, timeout is the caller\'s', () => {
  const prices = { X: Array.from({ length: 40 }, (_, i) => 100 + (i % 7)) };
  const plain = call('momentum', ['X'], { prices });
  assert.deepEqual(call('momentum', ['X'], { prices, lookback: null, allow_short: null, cost_bps: null, timeout: 5 }), plain);
});

test('prices as an argument: each fault is named with its place', () => {
  const on = (rows) => call('buy_and_hold', ['X'], { prices: { X: rows } });
  const at = 'strategy_params.prices.X';
  const cases = [
    [5, at, /an array of numbers or of \{date, close\}, got 5/],
    ['1,2', at, /got the string "1,2"/],
    [null, at, /got null/],
    [[], at, /at least 2 prices, got 0/],
    [[1], at, /at least 2 prices, got 1/],
    [[1, 0], `${at}[1]`, /must be a number > 0, got 0/],
    [[1, -3], `${at}[1]`, /got -3/],
    [[1, '2'], `${at}[1]`, /got the string "2"/],
    [[1, null], `${at}[1]`, /must be a number > 0, got null/],
    [[1, [2]], `${at}[1]`, /got an array/],
    [[1, { date: '2020-01-01', close: 1 }], `${at}[1]`, /a number like the first, got an object/],
    [[{ date: '2020-01-01', close: 1 }, 2], `${at}[1]`, /an object \{date, close\} like the first, got 2/],
    [[{ date: '2020-01-01' }], `${at}[0].close`, /must be there/],
    [[{ close: 1 }], `${at}[0].date`, /must be there/],
    [[{ date: '2020-01-01', close: 1, volume: 3 }], `${at}[0].volume`, /date and close/],
    [[{ date: 20200101, close: 1 }], `${at}[0].date`, /must be a date like/],
    [[{ date: '2020-02-30', close: 1 }], `${at}[0].date`, /got the string "2020-02-30"/],
    [[{ date: '2021-02-29', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '1900-02-29', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '2020-13-01', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '01/02/2020', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '2020-01-01T25:00:00Z', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '2020-01-01T10:00:00', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '2020-01-01T10:00:00+24:00', close: 1 }], `${at}[0].date`, /must be a date/],
    [[{ date: '2020-01-02', close: 1 }, { date: '2020-01-01', close: 1 }], `${at}[1].date`, /later than the one before it, got 2020-01-01 after 2020-01-02/],
    [[{ date: '2020-01-02', close: 1 }, { date: '2020-01-02T00:00:00Z', close: 1 }], `${at}[1].date`, /not be there twice/],
    [[1e-300, 1e300], `${at}[1]`, /finite ratio/],
    [[1e300, 1e-300], `${at}[1]`, /finite ratio/],
  ];
  for (const [rows, argument, message] of cases) refused(on(rows), argument, message);
  assert.ok(on([1e-300, 1]).ok);
  refused(call('buy_and_hold', ['X'], { prices: { X: [1, 1e200] }, initial_capital: 1e200 }), at, /leaves the range of a double at price 1/);
  const tooFew = { momentum: 22, moving_average_crossover: 51, mean_reversion: 21, kelly: 62 };
  for (const [agent, least] of Object.entries(tooFew)) {
    const prices = Array.from({ length: least }, (_, i) => 100 + (i % 5));
    assert.ok(call(agent, ['X'], { prices: { X: prices } }).ok, agent);
    refused(call(agent, ['X'], { prices: { X: prices.slice(1) } }), at, new RegExp(`at least ${least} prices for .*, got ${least - 1}`));
  }
});

test('price files: forms that are read', () => {
  const expected = run('buy_and_hold', ['X'], {}, { X: 'date,close\n2020-01-01,10\n2020-01-02,11.5\n' });
  const forms = [
    'date,close\n2020-01-01,10\n2020-01-02,11.5',
    'date,close\r\n2020-01-01,10\r\n2020-01-02,11.5\r\n',
    '\uFEFFdate,close\n2020-01-01,10\n2020-01-02,11.5\n',
    'Date,Close\n\n2020-01-01,10\n   \n2020-01-02,1.15e1\n\n',
    '"date","close"\n"2020-01-01","10"\n"2020-01-02", "11.5" \n',
    'close,note,date\n10,"a, ""b""\nc",2020-01-01\n11.5,"",2020-01-02\n',
    'date,open,high,low,close,adjclose,volume\n2020-01-01,1,1,1,999,10,0\n2020-01-02,1,1,1,998,11.5,0\n',
    'Date,Open,High,Low,Close,Adj Close,Volume\r\n2020-01-01,1,1,1,999,10,0\r\n2020-01-02,1,1,1,998,"11.5",0',
    'date , adj_close\n2020-01-01 , 10\n2020-01-02 ,\t+11.50\n',
  ];
  for (const text of forms) assert.deepEqual(run('buy_and_hold', ['X'], {}, { X: text }), expected, JSON.stringify(text));
});

test('price files: each fault is named with its line', () => {
  const on = (text) => call('buy_and_hold', ['W', 'X'], { prices: { W: [1, 2] } }, { X: text });
  const cases = [
    ['', /\/data\/X\.csv: must not be empty/],
    ['\n \n', /must not be empty/],
    ['date,close\n', /\/data\/X\.csv: must have at least 2 prices, got 0/],
    ['date,price\n2020-01-01,1\n', /line 1: has the header "date,price", which must name close or adjclose/],
    ['2020-01-01,1\n', /line 1: .*must name date/],
    ['close\n1\n', /line 1: .*must name date/],
    ['date,close,Close\n2020-01-01,1,1\n', /line 1: has two columns close/],
    ['date,close\n2020-01-01,1\n\n2020-01-02,\n', /line 4: close must be a number > 0, got nothing/],
    ['date,close\n2020-01-01,null\n', /line 2: close .*got "null"/],
    ['date,close\n2020-01-01,NaN\n', /line 2: close .*got "NaN"/],
    ['date,close\n2020-01-01,0x10\n', /line 2: close .*got "0x10"/],
    ['date,close\n2020-01-01,"1,234"\n', /line 2: close .*got "1,234"/],
    ['date,close\n2020-01-01,1e999\n', /line 2: close must be a number > 0, got Infinity/],
    ['date,adjclose\n2020-01-01,0\n', /line 2: adjclose must be a number > 0, got 0/],
    ['date,close\n2020-01-01,-5\n', /line 2: close .*got -5/],
    ['date,close\n2020-01-01,1,2\n', /line 2: must have 2 fields like the header, got 3/],
    ['date,close\n2020-01-01\n', /line 2: must have 2 fields like the header, got 1/],
    ['date,close\n2020-01-01;1\n', /line 2: must have 2 fields/],
    ['date,close\nJan 1 2000,1\n', /line 2: date must be a date like/],
    ['date,close\n2020-01-02,1\n2020-01-01,1\n', /line 3: date must be later than the one before it/],
    ['date,close\n2020-01-02,1\n\n2020-01-02,1\n', /line 4: date must not be there twice/],
    ['date,close\n"2020-01-01,1\n2020-01-02,2\n', /line 2: has a quote that is not closed/],
    ['date,close\n"2020-01-01"x,1\n', /line 2: has text after a closing quote/],
    ['date,close\n2020"-01-01,1\n', /line 2: has a quote inside an unquoted field/],
    ['date,close\r2020-01-01,1\r', /line 1: has a carriage return/],
    ['date,close,note\n2020-01-01,1,"a\nb\nc"\n2020-01-02,x,\n', /line 5: close/],
  ];
  for (const [text, message] of cases) refused(on(text), 'symbols[1]', message);
});

test('an input that is no JSON is a defect of the caller and named as one', () => {
  const answer = JSON.parse(shared.e2bridgeAgent('{'));
  assert.equal(answer.ok, false);
  assert.equal(answer.code, 'INTERNAL');
});

// ---------------------------------------------------------------- what custom agents are given

test('a custom agent\'s input: prices by the same rules, the rest as given', () => {
  const prepare = (input) => JSON.parse(shared.e2bridgeAgentInput(JSON.stringify(input)));
  const answer = prepare({
    agent_type: 'mine', symbols: ['A', 'B', 'C'], files: { B: 'date,close\r\n2020-01-01,"5"\r\n' },
    params: { prices: { A: [1, 2], INDEX: [{ date: '2020-01-01', close: 3 }] }, depth: { any: [1, null] }, timeout: 9 },
  });
  assert.deepEqual(answer, {
    ok: true,
    input: {
      agent_type: 'mine', symbols: ['A', 'B', 'C'], params: { depth: { any: [1, null] }, timeout: 9 },
      prices: { A: [1, 2], INDEX: [{ date: '2020-01-01', close: 3 }], B: [{ date: '2020-01-01', close: 5 }] },
    },
  });
  assert.deepEqual(prepare({ agent_type: 'mine', symbols: ['A'], params: {} }).input, { agent_type: 'mine', symbols: ['A'], params: {} });
  refused(prepare({ agent_type: 'mine', symbols: ['A'], params: { prices: { B: [0] } } }), 'strategy_params.prices.B[0]', /> 0/);
  refused(prepare({ agent_type: 'mine', symbols: ['A'], params: {}, files: { A: 'date\n' } }), 'symbols[0]', /line 1/);
});
