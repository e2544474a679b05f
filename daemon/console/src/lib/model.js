// Figures that several pages take out of the API's answers, in one place.

export const itemsOf = (d) => d?.items ?? (Array.isArray(d) ? d : []);
const first = (...v) => v.find((x) => x !== undefined && x !== null);

// The period asked for last, or all polled meters while none was asked for.
export function sweepOf(d) {
  if (!d) return {};
  const run = d.run ?? null;
  return { on: d.enabled !== false, run, total: run ? run.meters : d.meters, done: run ? run.done : (d.read ?? 0) + (d.failing ?? 0),
    read: d.read ?? 0, failing: d.failing ?? 0, visiting: d.visiting ?? 0, waiting: d.waiting ?? 0, notTried: d.not_tried ?? 0, values: d.values, forecast: run?.forecast, finished: run?.finished };
}

export function completeness(d) {
  const rows = itemsOf(d).map((r) => ({ ...r, got: r.measured + r.estimated, share: r.expected ? r.measured / r.expected : undefined }));
  const sum = (k) => rows.reduce((a, r) => a + Number(r[k] ?? 0), 0);
  const expected = sum('expected');
  return { day: d?.day, rows, expected, measured: sum('measured'), estimated: sum('estimated'), meters: sum('meters'), share: expected ? sum('measured') / expected : undefined };
}

export function unreadByCause(d) {
  const count = new Map();
  for (const m of itemsOf(d)) count.set(m.cause, (count.get(m.cause) || 0) + 1);
  const list = [...count].map(([cause, n]) => ({ cause, n })).sort((a, b) => b.n - a.n);
  return { list, total: d?.total ?? itemsOf(d).length };
}

// Counters only grow: what came a second follows from two looks at them.
let before = null;
export function statusFigures(d) {
  const parts = Object.entries(d?.components ?? {}).filter(([, v]) => v?.state);
  const bad = parts.filter(([, v]) => v.state !== 'ok');
  const ingest = d?.components?.ingest, now = performance.now(), total = ingest?.submitted_total;
  if (ingest && (!before || now - before.at > 900))
    before = { at: now, total, rate: before ? Math.max(0, total - before.total) / ((now - before.at) / 1000) : undefined };
  return {
    parts: parts.length, bad: bad.length, badNames: bad.map(([n, v]) => v.reason ?? v.error ?? n).join(', '), total, rate: before?.rate ?? (ingest ? 0 : undefined),
    spool: ingest && Math.max(0, ingest.durable_total - ingest.loaded_total), lag: ingest && ingest.lag_ms / 1000,
  };
}

export const unitOf = (unit) => ({ Wh: ['kWh', 1000], varh: ['kvarh', 1000], W: ['kW', 1000], L: ['m³', 1000], 'L/h': ['L/h', 1] }[unit] ?? [unit, 1]);

// Interval values of the curve answer, as two arrays for the chart.
export function curveOf(d) {
  const values = itemsOf(d);
  const [unit, by] = unitOf(d?.unit ?? '');
  const scale = 10 ** (d?.scaler ?? 0) / by;
  const at = (v) => (typeof v.at === 'number' ? v.at : Math.floor(Date.parse(v.at) / 1000));
  const times = [], y = [], marks = [];
  let period = d?.period_s;
  for (const v of values) {
    const s = at(v);
    if (times.length && period && s - times.at(-1) > 2 * period) { times.push(times.at(-1) + period); y.push(null); }
    period ??= v.period_s;
    if (![0, 1, undefined].includes(v.status & 15)) marks.push(times.length);
    times.push(s);
    y.push(v.value === null ? null : Number(v.value) * scale);
  }
  return { times, values: y, marks, unit, period };
}
