// The built-in trading agents, and what custom agents in JavaScript are run with.
//
// One script, no imports, ES2020: the embedded engine evaluates it inside the sandbox, in every template. It defines three
// functions, each from JSON text to JSON text, so that nothing but text crosses between engine and script:
//
//   e2bridgeAgent(input)                runs a built-in agent
//   e2bridgeAgentInput(input)           prepares the input of a custom agent: prices read and checked by the same rules
//   e2bridgeCustomAgent(source, input)  runs a custom agent's source in this engine
//
// The input of the first two is {agent_type, symbols, params, files}; `files` holds the text of /data/<SYMBOL>.csv for the symbols
// that have such a file. The input of the third is what the second answered. Each answers {ok: true, ...} or {ok: false, ...}; none
// throws.
//
// PRICES. params.prices.<SYMBOL>, an array of numbers or of {date, close}; else the file, whose header names `date` and `close` or
// `adjclose` (`adjclose` is taken when both are there). Prices are finite and > 0, dates strictly increasing: yyyy-mm-dd (midnight
// UTC) or RFC 3339.
//
// RETURNS. With closes P_0..P_{n-1} and the target s_t that an agent sets from P_0..P_t, the position w_t = s_{t-1} (w_0 = 0), as a
// fraction of equity, earns P_t / P_{t-1} - 1:
//   r_t = w_t (P_t / P_{t-1} - 1) - cost_bps / 10000 |w_t - w_{t-1}|,  E_t = E_{t-1} (1 + r_t),  E_0 = initial_capital,  t = 1..n-1.
// A position is brought back to its fraction at each close, and only changes of the fraction cost. When r_t <= -1 the equity is 0 from
// t on and the position 0 (`ruined`).
//
// FIGURES, over all r_t, warm-up included; Y = periods per year: params.periods_per_year, else (n - 1) / (days between first and last
// date / 365.25), else 252.
//   total_return  E_{n-1} / E_0 - 1
//   cagr          (E_{n-1} / E_0)^(Y / (n - 1)) - 1
//   volatility    sd(r) sqrt(Y), sd with n - 2 in the denominator (n - 1 returns); null for fewer than two returns
//   sharpe        mean(r) / sd(r) sqrt(Y), risk-free rate zero; null for fewer than two returns and when sd(r) <= 1e-12
//   max_drawdown  max over t of 1 - E_t / max(E_0..E_t): 0.25 is a fall of 25 %
// A figure that leaves the range of a double is null.
//
// AGENTS: parameter (default) and target. A target holds until the next close; before enough closes are there it is 0.
//   buy_and_hold              s = 1.
//   momentum                  lookback (20), threshold (0), allow_short (false). m = P_t / P_{t-lookback} - 1; s = 1 when
//                             m > threshold, -1 when m < -threshold and allow_short, else 0.
//   moving_average_crossover  fast (10), slow (50), allow_short (false). Means of the last `fast` and `slow` closes, P_t included;
//                             s = 1 when fast mean > slow mean, -1 when below and allow_short, else 0; means that differ by at most
//                             1e-12 of the slow one are equal.
//   mean_reversion            window (20), entry_z (2), exit_z (0.5), allow_short (false). z = (P_t - mean) / sd over the last
//                             `window` closes, P_t included, sd with window - 1; z = 0 when sd <= 1e-12 mean. Long leaves at
//                             z >= -exit_z, short at z <= exit_z; then flat enters long at z <= -entry_z, short at z >= entry_z when
//                             allow_short.
//   kelly                     window (60), fraction (0.5), max_leverage (1), allow_short (false). f = m / v, mean and variance
//                             (window - 1) of the last `window` returns P_i / P_{i-1} - 1; s = fraction f, at most max_leverage and
//                             at least 0, or -max_leverage when allow_short. sd <= 1e-12: f has no finite value; s is the bound on
//                             m's side, 0 when |m| <= 1e-12. With win_probability p and win_loss_ratio b instead of window:
//                             f = p - (1 - p) / b, a constant, and prices are not needed.
//   pairs                     window (60), entry_z (2), exit_z (0.5), hedge_ratio (none: rolling). Two symbols A, B on their common
//                             dates. b = hedge_ratio, else the slope of the least-squares line of ln A on ln B, with intercept, over
//                             the last `window` closes. z of the spread ln A - b ln B in that window, as in mean_reversion but 0 when
//                             sd <= 1e-12 or that of ln B is, which leaves no slope. Entry and exit as in mean_reversion with shorts.
//                             From entry to exit the weights stay d / (1 + |b|) in A and -d b / (1 + |b|) in B, d = 1 or -1, b at
//                             entry: their absolute values add up to 1.
(function (global) {
  'use strict';

  // Below this, a deviation is rounding: returns and logarithms of doubles are exact to about 1e-16.
  const NO_DEVIATION = 1e-12;
  const MAX_WINDOW = 1000000;
  const DAYS_PER_YEAR = 365.25;
  const DEFAULT_PERIODS_PER_YEAR = 252;

  // ---------------------------------------------------------------- errors and values

  class AgentError extends Error {
    constructor(code, argument, rule) {
      super(`${argument}: ${rule}`);
      this.code = code;
      this.argument = argument;
    }
  }

  function invalid(argument, rule) {
    return new AgentError('INVALID_ARGUMENT', argument, rule);
  }

  function has(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
  }

  // Maps keyed by what a caller chose have no prototype: a symbol may be called `__proto__`.
  function emptyMap() {
    return Object.create(null);
  }

  function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  }

  function quote(text) {
    const points = Array.from(text.slice(0, 130));
    return JSON.stringify(points.length > 64 ? `${points.slice(0, 64).join('')}…` : text);
  }

  /** The kind of a JSON value, with the value where it is short. */
  function describe(value) {
    if (value === null) return 'null';
    if (Array.isArray(value)) return 'an array';
    switch (typeof value) {
      case 'number': return String(value);
      case 'string': return `the string ${quote(value)}`;
      case 'boolean': return `the boolean ${value}`;
      case 'undefined': return 'nothing';
      default: return 'an object';
    }
  }

  // ---------------------------------------------------------------- parameters

  function whole(min, fallback) {
    return {
      fallback,
      read(argument, value) {
        if (!Number.isInteger(value) || value < min || value > MAX_WINDOW) {
          throw invalid(argument, `must be a whole number between ${min} and ${MAX_WINDOW}, got ${describe(value)}`);
        }
        return value;
      },
    };
  }

  /** A number in a range, `[` and `]` inclusive, `(` and `)` not. */
  function number(open, min, max, close, fallback) {
    return {
      fallback,
      read(argument, value) {
        const fine = Number.isFinite(value)
          && (open === '[' ? value >= min : value > min) && (close === ']' ? value <= max : value < max);
        if (!fine) {
          const low = `${open === '[' ? '>=' : '>'} ${min}`;
          const high = max === Infinity ? '' : ` and ${close === ']' ? '<=' : '<'} ${max}`;
          throw invalid(argument, `must be a number ${low}${high}, got ${describe(value)}`);
        }
        return value;
      },
    };
  }

  function flag() {
    return {
      fallback: false,
      read(argument, value) {
        if (typeof value !== 'boolean') throw invalid(argument, `must be true or false, got ${describe(value)}`);
        return value;
      },
    };
  }

  const COMMON_PARAMETERS = {
    prices: null, // read by pricesOf
    timeout: null, // checked and kept by the caller
    cost_bps: number('[', 0, 10000, ']', 0),
    initial_capital: number('(', 0, Infinity, ')', 1),
    periods_per_year: number('(', 0, Infinity, ')', null),
  };

  /** Every parameter of the agent, given or default. Null means absent, as everywhere. */
  function readParameters(agentType, agent, params) {
    const known = Object.keys(agent.parameters);
    for (const name of Object.keys(params)) {
      if (!has(agent.parameters, name) && !has(COMMON_PARAMETERS, name)) {
        const own = known.length === 0 ? 'has none of its own' : `has ${known.join(', ')}`;
        throw invalid(`strategy_params.${name}`,
          `is not a parameter of ${agentType}, which ${own}; every agent has ${Object.keys(COMMON_PARAMETERS).join(', ')}`);
      }
    }
    const values = {};
    for (const rules of [agent.parameters, COMMON_PARAMETERS]) {
      for (const name of Object.keys(rules)) {
        const rule = rules[name];
        if (rule === null) continue;
        const given = has(params, name) && params[name] !== null;
        values[name] = given ? rule.read(`strategy_params.${name}`, params[name]) : rule.fallback;
      }
    }
    if (agent.check) agent.check(values, (name) => has(params, name) && params[name] !== null);
    return values;
  }

  function checkBands(values) {
    if (values.exit_z >= values.entry_z) {
      throw invalid('strategy_params.exit_z', `must be less than entry_z (${values.entry_z}), got ${values.exit_z}`);
    }
  }

  // ---------------------------------------------------------------- dates

  const TIME = /^[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d+)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

  /** Seconds since 1970-01-01T00:00:00Z; NaN when the text is no date or no day of the calendar. */
  function secondsOf(text) {
    const day = text.slice(0, 10);
    const millis = Date.parse(day);
    // Engines also parse other forms, and some days that do not exist; neither comes back as it went in.
    if (Number.isNaN(millis) || new Date(millis).toISOString().slice(0, 10) !== day) return NaN;
    return millis / 1000 + (text.length === 10 ? 0 : secondsOfDay(text.slice(10)));
  }

  /** Seconds of the part after the day, the offset taken off; NaN when it is no time. */
  function secondsOfDay(text) {
    const part = TIME.exec(text);
    if (part === null) return NaN;
    const [hour, minute, second, fraction, offsetHour, offsetMinute] = [1, 2, 3, 4, 6, 7].map((i) => Number(part[i] || 0));
    if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return NaN;
    const offset = (part[5] === '-' ? -1 : 1) * (offsetHour * 3600 + offsetMinute * 60);
    return hour * 3600 + minute * 60 + second - offset + fraction;
  }

  // ---------------------------------------------------------------- prices

  /**
   * Collects one symbol's prices. `source` makes the error about the i-th one, broken(i, field, rule), and about all, wrong(rule).
   */
  class SeriesBuilder {
    constructor(source) {
      this.source = source;
      this.close = [];
      this.dates = [];
      this.seconds = [];
    }

    addClose(field, value) {
      const i = this.close.length;
      if (!Number.isFinite(value) || value <= 0) {
        throw this.source.broken(i, field, `must be a number > 0, got ${describe(value)}`);
      }
      if (i > 0) {
        const ratio = value / this.close[i - 1];
        if (ratio === 0 || ratio === Infinity) {
          throw this.source.broken(i, field, `must have a finite ratio to the price before it, ${this.close[i - 1]}, got ${value}`);
        }
      }
      this.close.push(value);
    }

    addDate(text) {
      const i = this.dates.length;
      const seconds = typeof text === 'string' ? secondsOf(text) : NaN;
      if (Number.isNaN(seconds)) {
        throw this.source.broken(i, 'date', `must be a date like 2020-01-31 or 2020-01-31T16:00:00Z, got ${describe(text)}`);
      }
      if (i > 0 && seconds <= this.seconds[i - 1]) {
        const rule = seconds === this.seconds[i - 1] ? 'must not be there twice' : 'must be later than the one before it';
        throw this.source.broken(i, 'date', `${rule}, got ${text} after ${this.dates[i - 1]}`);
      }
      this.dates.push(text);
      this.seconds.push(seconds);
    }

    build() {
      const dated = this.dates.length > 0;
      return {
        source: this.source,
        close: Float64Array.from(this.close),
        dates: dated ? this.dates : null,
        seconds: dated ? this.seconds : null,
      };
    }
  }

  /** Prices of strategy_params.prices.<SYMBOL>. */
  function seriesOfArray(argument, rows) {
    if (!Array.isArray(rows)) {
      throw invalid(argument, `must be an array of numbers or of {date, close}, got ${describe(rows)}`);
    }
    const source = {
      wrong: (rule) => invalid(argument, rule),
      broken: (i, field, rule) => invalid(`${argument}[${i}]${field === '' ? '' : `.${field}`}`, rule),
    };
    const builder = new SeriesBuilder(source);
    const dated = rows.length > 0 && isObject(rows[0]);
    rows.forEach((row, i) => {
      if (isObject(row) !== dated) {
        throw source.broken(i, '', `must be ${dated ? 'an object {date, close}' : 'a number'} like the first, got ${describe(row)}`);
      }
      if (!dated) {
        builder.addClose('', row);
        return;
      }
      for (const key of Object.keys(row)) {
        if (key !== 'date' && key !== 'close') throw source.broken(i, key, 'is not a key of a price, which has date and close');
      }
      for (const key of ['date', 'close']) {
        if (!has(row, key)) throw source.broken(i, key, 'must be there');
      }
      builder.addDate(row.date);
      builder.addClose('close', row.close);
    });
    return builder.build();
  }

  /**
   * Calls `record(line, fields)` for each record of a CSV text (RFC 4180, LF or CRLF); lines of white space are passed over.
   * `broken(line, rule)` makes the error.
   */
  function readCsv(text, broken, record) {
    let line = 1;
    let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
    while (at < text.length) {
      let end = text.indexOf('\n', at);
      if (end < 0) end = text.length;
      const row = text.slice(at, text.charCodeAt(end - 1) === 13 && end > at ? end - 1 : end);
      if (row.indexOf('\r') >= 0) throw broken(line, 'has a carriage return that is not part of a line end');
      if (row.indexOf('"') < 0) {
        if (row.trim() !== '') record(line, row.split(','));
        at = end + 1;
        line += 1;
      } else {
        const quoted = readQuotedRecord(text, at, line, broken);
        record(line, quoted.fields);
        at = quoted.at;
        line = quoted.line;
      }
    }
  }

  /** One record with a quote in its first line: its fields, and where the next record begins. */
  function readQuotedRecord(text, from, firstLine, broken) {
    const fields = [];
    const stop = /[,\r\n"]/g;
    let at = from;
    let line = firstLine;
    for (;;) {
      while (text[at] === ' ' || text[at] === '\t') at += 1;
      let field = '';
      if (text[at] === '"') {
        const opened = line;
        for (;;) {
          const close = text.indexOf('"', at + 1);
          if (close < 0) throw broken(opened, 'has a quote that is not closed');
          const part = text.slice(at + 1, close);
          line += part.split('\n').length - 1;
          field += part;
          at = close + 1;
          if (text[at] !== '"') break;
          field += '"';
        }
        while (text[at] === ' ' || text[at] === '\t') at += 1;
      } else {
        stop.lastIndex = at;
        const found = stop.exec(text);
        const end = found === null ? text.length : found.index;
        field = text.slice(at, end);
        at = end;
        if (text[at] === '"') throw broken(line, 'has a quote inside an unquoted field');
      }
      fields.push(field);
      if (text[at] === ',') {
        at += 1;
        continue;
      }
      if (text[at] === '\r') at += 1;
      if (at < text.length && text[at] !== '\n') throw broken(line, 'has text after a closing quote');
      return { fields, at: at + 1, line: line + 1 };
    }
  }

  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

  /** Prices of /data/<SYMBOL>.csv. The file is there because a symbol named it, so that is the argument at fault. */
  function seriesOfCsv(argument, path, text) {
    const lines = [];
    const broken = (line, rule) => invalid(argument, `${path} line ${line}: ${rule}`);
    const builder = new SeriesBuilder({
      wrong: (rule) => invalid(argument, `${path}: ${rule}`),
      broken: (i, field, rule) => broken(lines[i], `${field} ${rule}`),
    });
    let columns = null;
    readCsv(text, broken, (line, fields) => {
      if (columns === null) {
        const names = fields.map((field) => field.trim().toLowerCase().replace(/[\s_-]/g, ''));
        for (const name of ['date', 'close', 'adjclose']) {
          if (names.indexOf(name) !== names.lastIndexOf(name)) throw broken(line, `has two columns ${name}`);
        }
        const adjusted = names.includes('adjclose');
        const found = `has the header ${quote(fields.join(','))}`;
        if (!names.includes('date')) throw broken(line, `${found}, which must name date`);
        if (!adjusted && !names.includes('close')) throw broken(line, `${found}, which must name close or adjclose`);
        const field = adjusted ? 'adjclose' : 'close';
        columns = { count: fields.length, date: names.indexOf('date'), close: names.indexOf(field), field };
        return;
      }
      if (fields.length !== columns.count) {
        throw broken(line, `must have ${columns.count} fields like the header, got ${fields.length}`);
      }
      lines.push(line);
      const close = fields[columns.close].trim();
      if (!NUMBER.test(close)) {
        throw broken(line, `${columns.field} must be a number > 0, got ${close === '' ? 'nothing' : quote(close)}`);
      }
      builder.addDate(fields[columns.date].trim());
      builder.addClose(columns.field, Number(close));
    });
    if (columns === null) throw builder.source.wrong('must not be empty; its first line names date and close or adjclose');
    return builder.build();
  }

  function givenPrices(params) {
    if (!has(params, 'prices') || params.prices === null) return {};
    if (!isObject(params.prices)) {
      throw invalid('strategy_params.prices', `must be an object with an array per symbol, got ${describe(params.prices)}`);
    }
    return params.prices;
  }

  /** The series of symbols[i]; null when neither way gives one. */
  function findSeries(input, i) {
    const symbol = input.symbols[i];
    const prices = givenPrices(input.params);
    if (has(prices, symbol)) return seriesOfArray(`strategy_params.prices.${symbol}`, prices[symbol]);
    if (has(input.files, symbol)) return seriesOfCsv(`symbols[${i}]`, `/data/${symbol}.csv`, input.files[symbol]);
    return null;
  }

  function needSeries(input, i) {
    const series = findSeries(input, i);
    if (series === null) {
      const symbol = input.symbols[i];
      throw invalid('strategy_params.prices',
        `no prices for ${symbol}: give strategy_params.prices.${symbol} (an array of numbers or of {date, close}), `
        + `or put /data/${symbol}.csv into the sandbox (header date,close or date,...,adjclose)`);
    }
    return series;
  }

  /** Two series on their common dates, or as they are when neither has dates. */
  function alignPair(symbols, first, second) {
    if ((first.dates === null) !== (second.dates === null)) {
      const [bare, dated] = first.dates === null ? symbols : [symbols[1], symbols[0]];
      throw invalid('strategy_params.prices', `pairs need dates in both series or in none; ${dated} has them, ${bare} has not`);
    }
    if (first.dates === null) {
      if (first.close.length !== second.close.length) {
        throw invalid('strategy_params.prices', 'pairs without dates need series of one length, '
          + `${symbols[0]} has ${first.close.length} and ${symbols[1]} has ${second.close.length}`);
      }
      return { legs: [first, second], dropped: [0, 0] };
    }
    const kept = [[], []];
    for (let i = 0, k = 0; i < first.seconds.length && k < second.seconds.length;) {
      if (first.seconds[i] === second.seconds[k]) {
        kept[0].push(i);
        kept[1].push(k);
        i += 1;
        k += 1;
      } else if (first.seconds[i] < second.seconds[k]) {
        i += 1;
      } else {
        k += 1;
      }
    }
    const legs = [first, second].map((series, leg) => ({
      source: series.source,
      close: Float64Array.from(kept[leg], (i) => series.close[i]),
      dates: kept[leg].map((i) => series.dates[i]),
      seconds: kept[leg].map((i) => series.seconds[i]),
    }));
    return { legs, dropped: [first, second].map((series) => series.close.length - kept[0].length) };
  }

  // ---------------------------------------------------------------- statistics

  /** Mean of values[from..to). Summed as differences from the last value, so that equal values have exactly that mean. */
  function meanOf(values, from, to) {
    const base = values[to - 1];
    let sum = 0;
    for (let i = from; i < to; i += 1) sum += values[i] - base;
    return base + sum / (to - from);
  }

  /** Mean and sample deviation of values[from..to); the deviation of fewer than two is 0. */
  function moments(values, from, to) {
    const mean = meanOf(values, from, to);
    let squares = 0;
    for (let i = from; i < to; i += 1) {
      const difference = values[i] - mean;
      squares += difference * difference;
    }
    return { mean, deviation: to - from > 1 ? Math.sqrt(squares / (to - from - 1)) : 0 };
  }

  function clamp(value, low, high) {
    return Math.min(Math.max(value, low), high);
  }

  function finiteOrNull(value) {
    return Number.isFinite(value) ? value : null;
  }

  // ---------------------------------------------------------------- back-test

  /**
   * What the targets earn. `targets[k][t]` is leg k's fraction of equity from close t on. Answers the equity, the returns from
   * the second observation on, the fraction held in each period, and what each leg earned of the initial capital before costs.
   */
  function backtest(legs, targets, settings) {
    const n = legs[0].close.length;
    const cost = settings.cost_bps / 10000;
    const equity = new Array(n);
    const returns = new Float64Array(n - 1);
    const held = legs.map(() => new Float64Array(n));
    const contribution = legs.map(() => 0);
    let ruined = null;
    equity[0] = settings.initial_capital;
    for (let t = 1; t < n; t += 1) {
      let gain = 0;
      let turnover = 0;
      for (let k = 0; k < legs.length; k += 1) {
        const weight = ruined === null ? targets[k][t - 1] : 0;
        const earned = weight * (legs[k].close[t] / legs[k].close[t - 1] - 1);
        gain += earned;
        if (ruined === null) turnover += Math.abs(weight - held[k][t - 1]);
        held[k][t] = weight;
        contribution[k] += earned * (equity[t - 1] / equity[0]);
      }
      let change = gain - cost * turnover;
      if (change <= -1) {
        change = -1;
        ruined = t;
      }
      returns[t - 1] = change;
      equity[t] = equity[t - 1] * (1 + change);
      if (equity[t] === Infinity) {
        throw legs[0].source.wrong(`the equity leaves the range of a double at price ${t}`);
      }
    }
    return { equity, returns, held, contribution, ruined };
  }

  /** The changes of one leg's position. The price is that of the close which gave the signal: the position earns from there. */
  function tradesOf(series, held, ruined, facts) {
    const trades = [];
    const stamp = (trade, key, t) => {
      trade[key === '' ? 'index' : `${key}_index`] = t;
      if (series.dates !== null) trade[key === '' ? 'date' : `${key}_date`] = series.dates[t];
    };
    const last = ruined === null ? held.length - 1 : ruined;
    for (let t = 1; t <= last; t += 1) {
      const change = held[t] - held[t - 1];
      if (change === 0) continue;
      const trade = {};
      stamp(trade, '', t);
      stamp(trade, 'signal', t - 1);
      trade.action = change > 0 ? 'buy' : 'sell';
      if (series.close !== null) trade.price = series.close[t - 1];
      trade.change = change;
      trade.position = held[t];
      if (facts) Object.assign(trade, facts(t - 1));
      trades.push(trade);
    }
    if (ruined !== null && held[ruined] !== 0) {
      const trade = {};
      stamp(trade, '', ruined);
      stamp(trade, 'signal', ruined);
      trade.action = 'liquidate';
      if (series.close !== null) trade.price = series.close[ruined];
      trade.change = -held[ruined];
      trade.position = 0;
      trades.push(trade);
    }
    return trades;
  }

  function periodsPerYear(series, settings) {
    if (settings.periods_per_year !== null) return settings.periods_per_year;
    if (series.dates === null) return DEFAULT_PERIODS_PER_YEAR;
    const n = series.seconds.length;
    return (n - 1) / ((series.seconds[n - 1] - series.seconds[0]) / 86400 / DAYS_PER_YEAR);
  }

  /** The figures of a back-test that do not depend on whose position is reported. */
  function figures(series, test, settings) {
    const periods = test.returns.length;
    const perYear = periodsPerYear(series, settings);
    const growth = test.equity[periods] / test.equity[0];
    const { mean, deviation } = moments(test.returns, 0, periods);
    let peak = 0;
    let drawdown = 0;
    for (const value of test.equity) {
      if (value > peak) peak = value;
      drawdown = Math.max(drawdown, 1 - value / peak);
    }
    return {
      observations: periods + 1,
      periods_per_year: perYear,
      total_return: growth - 1,
      cagr: finiteOrNull(Math.pow(growth, perYear / periods) - 1),
      sharpe: periods > 1 && deviation > NO_DEVIATION ? finiteOrNull((mean / deviation) * Math.sqrt(perYear)) : null,
      volatility: periods > 1 ? finiteOrNull(deviation * Math.sqrt(perYear)) : null,
      max_drawdown: drawdown,
      ruined: test.ruined !== null,
    };
  }

  function positionPart(series, held, ruined, signal, facts) {
    const trades = tradesOf(series, held, ruined, facts);
    return {
      trade_count: trades.length,
      trades,
      final_position: ruined === null ? held[held.length - 1] : 0,
      signal,
    };
  }

  function curvePart(series, equity) {
    const part = { equity_curve: equity };
    if (series.dates !== null) part.dates = series.dates;
    return part;
  }

  /** The last close's target, which no period of the data holds yet. */
  function signalAt(series, position, indicators) {
    const signal = { index: series.close.length - 1 };
    if (series.dates !== null) signal.date = series.dates[signal.index];
    return Object.assign(signal, { position }, indicators);
  }

  // ---------------------------------------------------------------- agents
  //
  // One series: {parameters, check?, needs(values) -> [count, why], targets(close, values, targets) -> indicators of the last close}.

  /** The target after a close with the score z: leave first, then enter, so that one close can turn a position round. */
  function bandTarget(position, z, values, allowShort) {
    let target = position;
    if ((target > 0 && z >= -values.exit_z) || (target < 0 && z <= values.exit_z)) target = 0;
    if (target === 0 && z <= -values.entry_z) target = 1;
    if (target === 0 && z >= values.entry_z && allowShort) target = -1;
    return target;
  }

  const BUILT_IN = {
    buy_and_hold: {
      parameters: {},
      needs: () => [2, ''],
      targets(close, values, targets) {
        targets.fill(1);
        return {};
      },
    },

    momentum: {
      parameters: { lookback: whole(1, 20), threshold: number('[', 0, Infinity, ')', 0), allow_short: flag() },
      needs: (values) => [values.lookback + 2, ` for lookback ${values.lookback}`],
      targets(close, values, targets) {
        let momentum = 0;
        for (let t = values.lookback; t < close.length; t += 1) {
          momentum = close[t] / close[t - values.lookback] - 1;
          if (momentum > values.threshold) targets[t] = 1;
          else if (momentum < -values.threshold && values.allow_short) targets[t] = -1;
        }
        return { momentum };
      },
    },

    moving_average_crossover: {
      parameters: { fast: whole(1, 10), slow: whole(2, 50), allow_short: flag() },
      check(values) {
        if (values.fast >= values.slow) {
          throw invalid('strategy_params.fast', `must be less than slow (${values.slow}), got ${values.fast}`);
        }
      },
      needs: (values) => [values.slow + 1, ` for slow ${values.slow}`],
      targets(close, values, targets) {
        let fast = 0;
        let slow = 0;
        for (let t = values.slow - 1; t < close.length; t += 1) {
          fast = meanOf(close, t + 1 - values.fast, t + 1);
          slow = meanOf(close, t + 1 - values.slow, t + 1);
          const gap = fast - slow;
          if (gap > NO_DEVIATION * slow) targets[t] = 1;
          else if (gap < -NO_DEVIATION * slow && values.allow_short) targets[t] = -1;
        }
        return { fast_average: fast, slow_average: slow };
      },
    },

    mean_reversion: {
      parameters: {
        window: whole(2, 20), entry_z: number('(', 0, Infinity, ')', 2), exit_z: number('[', 0, Infinity, ')', 0.5), allow_short: flag(),
      },
      check: checkBands,
      needs: (values) => [values.window + 1, ` for window ${values.window}`],
      targets(close, values, targets) {
        let z = 0;
        let position = 0;
        for (let t = values.window - 1; t < close.length; t += 1) {
          const { mean, deviation } = moments(close, t + 1 - values.window, t + 1);
          z = deviation <= NO_DEVIATION * mean ? 0 : (close[t] - mean) / deviation;
          position = bandTarget(position, z, values, values.allow_short);
          targets[t] = position;
        }
        return { z };
      },
    },

    kelly: {
      parameters: {
        window: whole(2, 60),
        fraction: number('(', 0, 1, ']', 0.5),
        max_leverage: number('(', 0, 100, ']', 1),
        allow_short: flag(),
        win_probability: number('[', 0, 1, ']', null),
        win_loss_ratio: number('(', 0, Infinity, ')', null),
      },
      check(values, given) {
        for (const [one, other] of [['win_probability', 'win_loss_ratio'], ['win_loss_ratio', 'win_probability']]) {
          if (given(one) && !given(other)) throw invalid(`strategy_params.${other}`, `must be there when ${one} is`);
        }
        if (given('win_probability') && given('window')) {
          throw invalid('strategy_params.window', 'must not be there with win_probability: odds are given or estimated, not both');
        }
      },
      needs: (values) => (values.win_probability === null ? [values.window + 2, ` for window ${values.window}`] : [2, '']),
      targets(close, values, targets) {
        if (values.win_probability !== null) {
          const sized = kellyOfOdds(values);
          targets.fill(sized.position);
          return { kelly_fraction: sized.kelly_fraction };
        }
        const low = values.allow_short ? -values.max_leverage : 0;
        const returns = new Float64Array(close.length);
        for (let t = 1; t < close.length; t += 1) returns[t] = close[t] / close[t - 1] - 1;
        let mean = 0;
        let deviation = 0;
        let full = null;
        for (let t = values.window; t < close.length; t += 1) {
          ({ mean, deviation } = moments(returns, t + 1 - values.window, t + 1));
          if (deviation > NO_DEVIATION) {
            full = mean / (deviation * deviation);
            targets[t] = clamp(values.fraction * full, low, values.max_leverage);
          } else {
            full = null;
            if (Math.abs(mean) > NO_DEVIATION) targets[t] = mean > 0 ? values.max_leverage : low;
          }
        }
        return { kelly_fraction: full, mean_return: mean, variance: deviation * deviation };
      },
      without: kellyOfOdds,
    },

    pairs: {
      parameters: {
        window: whole(3, 60),
        entry_z: number('(', 0, Infinity, ')', 2),
        exit_z: number('[', 0, Infinity, ')', 0.5),
        hedge_ratio: number('(', 0, Infinity, ')', null),
      },
      check: checkBands,
    },
  };

  /** Sizing from given odds; null when none are given. */
  function kellyOfOdds(values) {
    if (values.win_probability === null) return null;
    const full = values.win_probability - (1 - values.win_probability) / values.win_loss_ratio;
    if (!Number.isFinite(full)) {
      throw invalid('strategy_params.win_loss_ratio', `leaves no finite fraction, got ${values.win_loss_ratio}`);
    }
    const low = values.allow_short ? -values.max_leverage : 0;
    return { kelly_fraction: full, position: clamp(values.fraction * full, low, values.max_leverage) };
  }

  function runSingle(agent, values, input, i) {
    let series = findSeries(input, i);
    if (series === null) {
      const sized = agent.without ? agent.without(values) : null;
      if (sized !== null) return withoutPrices(sized, values);
      series = needSeries(input, i);
    }
    const [least, why] = agent.needs(values);
    if (series.close.length < least) {
      throw series.source.wrong(`must have at least ${least} prices${why}, got ${series.close.length}`);
    }
    const targets = new Float64Array(series.close.length);
    const indicators = agent.targets(series.close, values, targets);
    const test = backtest([series], [targets], values);
    const signal = signalAt(series, targets[targets.length - 1], indicators);
    return Object.assign(
      figures(series, test, values),
      positionPart(series, test.held[0], test.ruined, signal, null),
      has(indicators, 'kelly_fraction') ? { kelly_fraction: indicators.kelly_fraction } : {},
      curvePart(series, test.equity),
    );
  }

  /** The keys of a back-test that did not take place, around what needs no prices. */
  function withoutPrices(sized, values) {
    return {
      observations: 0,
      periods_per_year: values.periods_per_year === null ? DEFAULT_PERIODS_PER_YEAR : values.periods_per_year,
      total_return: null,
      cagr: null,
      sharpe: null,
      volatility: null,
      max_drawdown: null,
      ruined: false,
      trade_count: 0,
      trades: [],
      final_position: 0,
      signal: { position: sized.position, kelly_fraction: sized.kelly_fraction },
      kelly_fraction: sized.kelly_fraction,
      equity_curve: [],
    };
  }

  /** Slope and score of the spread over the `window` closes that end at t; z = 0 where there is none. */
  function spreadAt(logs, values, t, spread) {
    const from = t + 1 - values.window;
    let slope = values.hedge_ratio;
    if (slope === null) {
      const x = moments(logs[1], from, t + 1);
      if (x.deviation <= NO_DEVIATION) return { hedge_ratio: null, z: 0 };
      const y = moments(logs[0], from, t + 1);
      let product = 0;
      for (let i = from; i <= t; i += 1) product += (logs[1][i] - x.mean) * (logs[0][i] - y.mean);
      slope = product / ((values.window - 1) * x.deviation * x.deviation);
    }
    for (let i = 0; i < values.window; i += 1) spread[i] = logs[0][from + i] - slope * logs[1][from + i];
    const { mean, deviation } = moments(spread, 0, values.window);
    return { hedge_ratio: slope, z: deviation <= NO_DEVIATION ? 0 : (spread[values.window - 1] - mean) / deviation };
  }

  function runPairs(values, input) {
    if (input.symbols.length !== 2) throw invalid('symbols', `pairs needs exactly two symbols, got ${input.symbols.length}`);
    const { legs, dropped } = alignPair(input.symbols, needSeries(input, 0), needSeries(input, 1));
    const n = legs[0].close.length;
    if (n < values.window + 1) {
      throw invalid('strategy_params.prices', `${input.symbols.join(' and ')} must have at least ${values.window + 1} prices `
        + `${legs[0].dates === null ? '' : 'on common dates '}for window ${values.window}, got ${n}`);
    }

    const logs = legs.map((leg) => leg.close.map((price) => Math.log(price)));
    const spread = new Float64Array(values.window);
    const direction = new Float64Array(n);
    const weights = legs.map(() => new Float64Array(n));
    const states = new Array(n).fill(null);
    let position = 0;
    let entered = 0;
    for (let t = values.window - 1; t < n; t += 1) {
      const state = spreadAt(logs, values, t, spread);
      const target = bandTarget(position, state.z, values, true);
      if (target !== position && target !== 0) entered = state.hedge_ratio;
      position = target;
      states[t] = state;
      direction[t] = position;
      const gross = 1 + Math.abs(entered);
      weights[0][t] = position / gross;
      weights[1][t] = position === 0 ? 0 : (-position * entered) / gross;
    }

    const test = backtest(legs, weights, values);
    const common = figures(legs[0], test, values);
    const curve = curvePart(legs[0], test.equity);
    const name = input.symbols.join('/');
    const last = states[n - 1];
    const result = emptyMap();
    const heldDirection = new Float64Array(n);
    for (let t = 1; t < n && (test.ruined === null || t <= test.ruined); t += 1) heldDirection[t] = direction[t - 1];
    result[name] = Object.assign(
      {},
      common,
      positionPart({ close: null, dates: legs[0].dates }, heldDirection, test.ruined,
        signalAt(legs[0], direction[n - 1], {
          z: last.z, hedge_ratio: last.hedge_ratio, weights: pairMap(input.symbols, weights.map((weight) => weight[n - 1])),
        }),
        (t) => ({
          z: states[t].z, hedge_ratio: states[t].hedge_ratio,
          weights: pairMap(input.symbols, weights.map((weight) => weight[t])),
          prices: pairMap(input.symbols, legs.map((leg) => leg.close[t])),
        })),
      { dropped: pairMap(input.symbols, dropped) },
      curve,
    );
    input.symbols.forEach((symbol, k) => {
      result[symbol] = Object.assign(
        { pair: name },
        common,
        positionPart(legs[k], test.held[k], test.ruined, signalAt(legs[k], weights[k][n - 1], {}), null),
        { contribution: test.contribution[k] },
        curve,
      );
    });
    return result;
  }

  function pairMap(symbols, values) {
    const map = emptyMap();
    map[symbols[0]] = values[0];
    map[symbols[1]] = values[1];
    return map;
  }

  // ---------------------------------------------------------------- entry points

  function readInput(text) {
    const input = JSON.parse(text);
    if (!isObject(input.params)) throw invalid('strategy_params', `must be an object, got ${describe(input.params)}`);
    return {
      agent_type: input.agent_type,
      symbols: input.symbols,
      params: input.params,
      files: isObject(input.files) ? input.files : {},
    };
  }

  function answer(compute) {
    try {
      return JSON.stringify(Object.assign({ ok: true }, compute()));
    } catch (error) {
      if (error instanceof AgentError) {
        return JSON.stringify({ ok: false, code: error.code, argument: error.argument, message: error.message });
      }
      return JSON.stringify({ ok: false, code: 'INTERNAL', message: `the agent program failed: ${error}`, traceback: error.stack });
    }
  }

  function runBuiltIn(text) {
    return answer(() => {
      const input = readInput(text);
      if (!has(BUILT_IN, input.agent_type)) {
        throw new AgentError('NOT_FOUND', 'agent_type',
          `${quote(String(input.agent_type))} is not built in; there are ${Object.keys(BUILT_IN).join(', ')}`);
      }
      const agent = BUILT_IN[input.agent_type];
      const values = readParameters(input.agent_type, agent, input.params);
      if (agent === BUILT_IN.pairs) return { result: runPairs(values, input) };
      const result = emptyMap();
      input.symbols.forEach((symbol, i) => {
        result[symbol] = runSingle(agent, values, input, i);
      });
      return { result };
    });
  }

  function rowsOf(series) {
    if (series.dates === null) return Array.from(series.close);
    return series.dates.map((date, i) => ({ date, close: series.close[i] }));
  }

  function prepareInput(text) {
    return answer(() => {
      const input = readInput(text);
      const prices = emptyMap();
      const given = givenPrices(input.params);
      for (const symbol of Object.keys(given)) {
        prices[symbol] = rowsOf(seriesOfArray(`strategy_params.prices.${symbol}`, given[symbol]));
      }
      input.symbols.forEach((symbol, i) => {
        if (has(prices, symbol)) return;
        const series = findSeries(input, i);
        if (series !== null) prices[symbol] = rowsOf(series);
      });
      const params = Object.assign(emptyMap(), input.params);
      delete params.prices;
      const prepared = { agent_type: input.agent_type, symbols: input.symbols, params };
      if (Object.keys(prices).length > 0) prepared.prices = prices;
      return { input: prepared };
    });
  }

  /** JSON text of what an agent returned; what JSON cannot say is refused instead of becoming null. */
  function resultText(result) {
    if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
      throw new TypeError('agent returned a promise; the embedded engine runs agents without an event loop');
    }
    if (!isObject(result)) throw new TypeError(`agent must return an object, got ${describe(result)}`);
    const text = JSON.stringify(result, (key, value) => {
      if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`agent returned ${value} in ${quote(key)}`);
      return value;
    });
    if (text === undefined || text[0] !== '{') throw new TypeError('agent must return an object that JSON can represent');
    return wellFormed(text);
  }

  /** JSON text without the escapes that stringify makes of lone surrogates: no UTF-8 text can hold what they stand for. */
  function wellFormed(json) {
    return json.replace(/\\(?:\\|ud[89a-f][0-9a-f]{2})/g, (escape) => (escape === '\\\\' ? escape : '\\ufffd'));
  }

  function errorOf(thrown) {
    const name = thrown instanceof Error ? String(thrown.name) : 'Error';
    const value = thrown instanceof Error ? String(thrown.message) : String(thrown);
    const stack = thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
    const headline = `${name}: ${value}`;
    return { name, value, traceback: stack.startsWith(name) ? stack : `${headline}\n${stack}`.trimEnd() };
  }

  function runCustom(source, text) {
    try {
      delete global.agent;
      // An indirect eval, in the global scope. Its value finds `agent` however the source defines it: as a function, a constant
      // or a property of globalThis.
      const agent = (0, eval)(`${source.replace(/^\uFEFF?(?:#!.*)?/, '')}\n;typeof agent === 'function' ? agent : undefined`);
      if (agent === undefined) throw new TypeError('the agent file must define a function agent(input)');
      return `{"ok":true,"result":${resultText(agent(JSON.parse(text)))}}`;
    } catch (thrown) {
      return wellFormed(JSON.stringify({ ok: false, error: errorOf(thrown) }));
    }
  }

  global.e2bridgeAgent = runBuiltIn;
  global.e2bridgeAgentInput = prepareInput;
  global.e2bridgeCustomAgent = runCustom;
})(globalThis);
