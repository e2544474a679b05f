// One event stream for the whole page, shared by who listens; the browser connects it again by itself.
let source = null;
let connected = false;
const listeners = new Set();
const watchers = new Set();

function tell(on) {
  if (connected === on) return;
  connected = on;
  watchers.forEach((f) => f(on));
}

function handle(e) {
  let body = {};
  try { body = JSON.parse(e.data); } catch { return; }
  const type = body.type || e.type;
  listeners.forEach((f) => f({ type, key: body.key ?? '', at: body.at, body: body.body ?? body.data ?? body, id: e.lastEventId }));
}

export function listen(f) {
  listeners.add(f);
  if (!source && 'EventSource' in window) {
    source = new EventSource('/v1/events');
    source.onopen = () => tell(true);
    source.onerror = () => tell(false);
    source.onmessage = handle;
    for (const t of ['reading.stored', 'job.progress',
      'run.computed', 'run.issued', 'bill.issued', 'bill.reversed', 'payment.posted', 'payment.reversed',
      'invoice.issued', 'vee.exception', 'tariff.activated', 'request.opened', 'request.closed', 'customer.created', 'customer.changed',
      'contract.opened', 'contract.closed', 'meter.exchanged'])
      source.addEventListener(t, handle);
  }
  return () => listeners.delete(f);
}
export function watchConnection(f) {
  watchers.add(f);
  f(connected);
  return () => watchers.delete(f);
}
export function hangUp() {
  source?.close();
  source = null;
  tell(false);
}
