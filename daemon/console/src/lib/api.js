// The daemon's API: JSON in and out, RFC 9457 problems as errors.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.title = body.title || '';
    this.code = body.code || '';
    this.param = body.param || '';
    this.requestId = body.request_id || '';
  }
}

// randomUUID exists only on https and localhost; this does everywhere.
function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

let onLoggedOut = () => {};
export function whenLoggedOut(f) { onLoggedOut = f; }

export async function call(method, path, body, { signal, key } = {}) {
  const headers = { Accept: 'application/json' };
  if (method !== 'GET') {
    headers['Idempotency-Key'] = key || freshKey();
    headers['Content-Type'] = 'application/json';
  }
  let answer;
  try {
    answer = await fetch('/v1' + path, { method, headers, signal, credentials: 'same-origin',
      body: method === 'GET' ? undefined : JSON.stringify(body || {}) });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Problem(0, { title: 'offline', code: 'offline', detail: '' });
  }
  const text = await answer.text();
  let json = {};
  try { json = text ? JSON.parse(text) : {}; } catch { json = { detail: text.slice(0, 200) }; }
  if (answer.ok) return json;
  if (answer.status === 401 && path !== '/login') onLoggedOut();
  throw new Problem(answer.status, json);
}
export const get = (path, options) => call('GET', path, null, options);
export const post = (path, body, options) => call('POST', path, body, options);

export function query(params) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v !== undefined && v !== null && v !== '') q.set(k, v);
  const text = q.toString();
  return text ? '?' + text : '';
}
