// A small town for the browser test, entered through the API: node seed.mjs BASE_URL USER PASSWORD town|bills
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [base, user, password, part] = process.argv.slice(2);
const source = join(dirname(fileURLToPath(import.meta.url)), '../..');
let token = '';
async function call(method, path, body) {
  const answer = await fetch(base.replace(/\/$/, '') + '/v1' + path, { method, body: body && JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': Math.random().toString(36), ...(token && { Authorization: 'Bearer ' + token }) } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : {};
}
token = (await call('POST', '/login', { user, password })).token;

async function town() {
  for (const [code, name] of [['HN', 'Hà Nội'], ['CT', 'Cần Thơ']])
    await call('POST', '/branches', { code, name, tz: 'Asia/Ho_Chi_Minh', currency: 'VND', minor_digits: 0, language: 'vi' });

  const family = ['Nguyễn', 'Trần', 'Lê', 'Phạm', 'Hoàng'], middle = ['Văn', 'Thị', 'Đức', 'Ngọc'], given = ['An', 'Bình', 'Châu', 'Dũng', 'Hà', 'Liên'];
  for (const branch of ['HN', 'CT']) {
    const n = Array.from({ length: 20 }, (_, i) => i + 1), key = (i) => `${branch}-${String(i).padStart(4, '0')}`;
    await call('POST', '/meters/import', { meters: n.map((i) => ({ serial: 'EL-' + key(i), maker: 'Kamstrup', model: 'TEST-DLMS', commodity: 'electricity', protocol: 'dlms',
      identity: `4B414D00${branch === 'HN' ? '01' : '02'}${String(i).padStart(6, '0')}`, period_s: 3600, address: { host: '192.0.2.1', port: 4059 }, branch })) });
    const answer = await call('POST', '/customers/import', { branch,
      parties: n.map((i) => ({ code: 'C' + key(i), name: `${family[i % 5]} ${middle[i % 4]} ${given[i % 6]}`, phone: '8491' + (2345600 + i * 37 + (branch === 'HN' ? 0 : 5000)) })),
      accounts: n.map((i) => ({ number: 'A' + key(i), party: 'C' + key(i) })),
      premises: n.map((i) => ({ code: 'P' + key(i), address: `${i * 4} Trần Phú`, city: branch === 'HN' ? 'Hà Nội' : 'Cần Thơ' })),
      service_points: n.map((i) => ({ code: 'SP' + key(i), premise: 'P' + key(i), commodity: 'electricity' })),
      installations: n.map((i) => ({ service_point: 'SP' + key(i), meter: 'EL-' + key(i), from: '2025-01-01T00:00:00+07:00' })),
      contracts: n.map((i) => ({ number: 'K' + key(i), account: 'A' + key(i), service_point: 'SP' + key(i), tariff: 'EVN-RES', from: '2025-01-01' })) });
    if (answer.refused.length) throw new Error('refused: ' + JSON.stringify(answer.refused[0]));
  }
  const request = await call('POST', '/requests', { type: 'outage', account: 'AHN-0001', text: 'No light since yesterday evening.', channel: 'callcentre', form: { neighbours: 'yes' } });
  await call('POST', `/requests/${request.number}/reply`, { text: 'A crew is on its way.', channel: 'field', step: 'dispatched' });
  await call('POST', '/requests', { type: 'high_bill', account: 'AHN-0002', text: 'Twice as much as last month?', channel: 'app' });
}

// The last two whole months of branch HN billed: made by one person, approved by another, issued; one bill paid.
async function bills() {
  const month = (back) => { const d = new Date(Date.now() + 7 * 3600e3); return new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() - back, 1)).toISOString().slice(0, 10); };
  await call('POST', '/users', { login: 'second', name: 'Second Person', password: 'headrace-second', roles: 'admin', branches: '*' });
  const first = token, second = (await call('POST', '/login', { user: 'second', password: 'headrace-second' })).token;
  const as = (who, ...what) => { token = who; return call(...what); };
  const samples = join(source, 'billing/tariff/samples');
  for (const file of readdirSync(samples).filter((f) => f.endsWith('.json'))) {
    const tariff = await as(first, 'POST', '/tariffs', { document: JSON.parse(readFileSync(join(samples, file), 'utf8')) });
    await as(second, 'POST', `/tariffs/${tariff.code}/approve`, { version: tariff.version });
    await as(second, 'POST', `/tariffs/${tariff.code}/activate`, { version: tariff.version });
  }
  const until = async (path, done) => {
    for (let i = 0; i < 300; i += 1) {
      const v = await as(first, 'GET', path);
      if (done(v)) return v;
      await new Promise((ok) => setTimeout(ok, 100));
    }
    throw new Error('waited too long for ' + path);
  };
  for (const back of [2, 1]) {
    const { run } = await as(first, 'POST', '/runs', { branch: 'HN', cycle: 'monthly', from: month(back), to: month(back - 1) });
    await until('/runs/' + run, (r) => r.computed_at);
    await as(second, 'POST', `/runs/${run}/approve`);
    await as(first, 'POST', `/runs/${run}/issue`);
    await until('/runs/' + run, (r) => r.state === 'issued');
  }
  const invoice = (await as(first, 'GET', '/invoices')).items[0];
  await as(first, 'POST', '/payments', { channel: 'cash', reference: 'seed-1', amount: invoice.total, invoice: invoice.number });
}

await { town, bills }[part]();
