// Figures that several pages take out of the API's answers, in one place.

export const itemsOf = (d) => d?.items ?? (Array.isArray(d) ? d : []);
const first = (...v) => v.find((x) => x !== undefined && x !== null);

export function sweepOf(d) {
  const s = d?.sweep ?? d ?? {};
  const total = first(s.total, s.meters, s.due, 0), read = first(s.read, s.ok, s.succeeded, 0), failed = first(s.failed, s.errors, 0);
  return { total, read, failed, done: first(s.done, read + failed), rate: first(s.meters_per_second, s.rate), state: s.state };
}

export function completeness(d) {
  const rows = itemsOf(d).map((r) => {
    const expected = first(r.expected, r.values_expected, 0), got = first(r.got, r.received, r.present, r.values, 0);
    return { branch: r.branch, name: r.branch_name ?? r.name, meters: r.meters, expected, got, share: expected ? got / expected : undefined };
  });
  const expected = rows.reduce((a, r) => a + r.expected, 0), got = rows.reduce((a, r) => a + r.got, 0);
  return { day: d?.day, rows, expected, got, share: expected ? got / expected : undefined };
}

export function unreadByCause(d) {
  const count = new Map();
  if (d?.causes) {
    for (const [cause, n] of Array.isArray(d.causes) ? d.causes.map((c) => [c.cause, first(c.meters, c.n, c.count)]) : Object.entries(d.causes)) count.set(cause, n);
  } else for (const m of itemsOf(d)) count.set(m.cause, (count.get(m.cause) || 0) + 1);
  const list = [...count].map(([cause, n]) => ({ cause, n })).filter((c) => c.n).sort((a, b) => b.n - a.n);
  return { list, total: list.reduce((a, c) => a + c.n, 0) };
}

export function statusFigures(d) {
  const parts = Object.entries(d?.components ?? d ?? {}).filter(([, v]) => v && typeof v === 'object' && v.state);
  const pick = (...names) => {
    for (const [, v] of parts) for (const n of names) if (typeof v[n] === 'number') return v[n];
    return undefined;
  };
  const bad = parts.filter(([, v]) => v.state !== 'ok');
  return {
    parts: parts.length, bad: bad.length, badNames: bad.map(([n]) => n).join(', '),
    rate: pick('messages_per_second', 'rate', 'per_second'), total: pick('messages_total', 'messages', 'submitted'),
    spool: pick('spool_waiting', 'waiting', 'backlog', 'queued', 'spool_bytes'), lag: pick('lag_seconds', 'lag_s', 'spool_lag_s', 'lag'),
  };
}

export const unitOf = (unit) => ({ Wh: ['kWh', 1000], varh: ['kvarh', 1000], W: ['kW', 1000], L: ['m³', 1000], 'L/h': ['L/h', 1] }[unit] ?? [unit, 1]);

// Interval values of the curve answer, as two arrays for the chart.
export function curveOf(d) {
  const values = itemsOf(d?.values ? { items: d.values } : d);
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
