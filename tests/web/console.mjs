/*
 * Drives the console in a real browser against a running daemon with data.
 *   node console.mjs BASE_URL USER PASSWORD [SCREENSHOT_DIR]
 * Visits every page, compares what is shown with the API's own answers, checks accessibility with
 * axe-core in both themes, the keyboard, phone width, languages and the sizes on the wire.
 * Ends with one JSON line {"passed":N,"failed":N,"failures":[...]}; exit 0, 1 (failed) or 77 (no browser).
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [base, user, password, shots] = process.argv.slice(2);
if (!password) {
  console.error('usage: node console.mjs BASE_URL USER PASSWORD [SCREENSHOT_DIR]');
  process.exit(2);
}
const browserPath = process.env.HEADRACE_CHROMIUM || '/usr/bin/chromium';
if (!existsSync(browserPath)) {
  console.log('SKIP: no browser at ' + browserPath);
  process.exit(77);
}
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
if (shots) mkdirSync(shots, { recursive: true });

const failures = [], skipped = [];
let passed = 0;
function check(what, good, detail = '') {
  if (good) { passed += 1; return true; }
  failures.push(detail ? `${what}: ${detail}` : what);
  console.error(`FAIL ${what} ${detail}`);
  return false;
}
function skip(what) { skipped.push(what); console.error(`skip ${what}`); }

const browser = await chromium.launch({
  executablePath: browserPath, headless: true,
  args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
    '--disable-quic', '--disable-default-apps', '--disable-domain-reliability', '--disable-extensions', '--disable-breakpad',
    '--disable-client-side-phishing-detection', '--metrics-recording-only', '--no-pings', '--disable-features=OptimizationHints,MediaRouter,Translate'],
});
const root = base.replace(/\/$/, '') + '/';
const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, locale: 'en-GB', timezoneId: 'Asia/Ho_Chi_Minh', colorScheme: 'light', reducedMotion: 'reduce' });
const page = await context.newPage();
const errors = [], foreign = [];
let quiet = false; // while a refusal is provoked on purpose
page.on('console', (m) => { if (m.type() === 'error' && !quiet) errors.push(`${m.text()} ${m.location().url}`); });
page.on('pageerror', (e) => errors.push(String(e)));
page.on('request', (r) => { if (!r.url().startsWith(root) && !r.url().startsWith('data:') && !r.url().startsWith('blob:')) foreign.push(r.url()); });
let wire = 0;
const absent = new Set(); // what this installation has no plugin for: the pages say so, the browser logs a 404
page.on('response', async (r) => {
  if (r.status() === 404 && r.url().includes('/v1/'))
    await r.json().then((j) => j.code === 'unknown_route' && absent.add(r.url()), () => {});
  if (!r.url().startsWith(root) || r.url().includes('/v1/')) return;
  try { wire += gzipSync(await r.body(), { level: 9 }).length; } catch { /* redirects and cached answers have no body */ }
});

// The API as the logged-in browser sees it; null where this daemon has no such part.
async function api(path) {
  const r = await context.request.get(root + 'v1' + path);
  if (r.ok()) return r.json();
  if (![404, 403, 501].includes(r.status())) check(`GET ${path}`, false, `HTTP ${r.status()} ${(await r.text()).slice(0, 200)}`);
  return null;
}
const text = (selector = 'main') => page.locator(selector).innerText();
const shot = async (name) => { if (shots) await page.screenshot({ path: join(shots, name + '.png'), fullPage: true }); };
const settle = async () => {
  await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('.skeleton') && !document.querySelector('[aria-busy="true"]'), null, { timeout: 15000 });
  await page.waitForTimeout(120);
};
async function visit(hash) {
  await page.evaluate((h) => { location.hash = h; }, hash);
  await page.waitForTimeout(60);
  await settle().catch(() => check(`${hash} settles`, false, 'still loading after 15 s'));
}
async function axe(where) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then((r) => r.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '').slice(0, 120)).join(' | ')}`)));
  check(`axe ${where}`, found.length === 0, found.join('; '));
}
const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const theme = (t) => page.evaluate((v) => { document.documentElement.dataset.theme = v; dispatchEvent(new Event('themechange')); }, t);
const digits = (s) => String(s).replace(/[^0-9]/g, '');
const shows = (all, value) => digits(all).includes(digits(value));
const major = (minor, scale) => { // the digits a person reads of an amount in minor units
  const s = String(Math.abs(minor)).padStart(scale + 1, '0');
  return s;
};

/* ---- before any script ---- */
{
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const p = await plain.newPage();
  await p.goto(root);
  check('without scripts the page says what it is', /Headrace console/.test(await p.innerText('body')) && /headrace status/.test(await p.innerText('body')));
  await plain.close();
}

/* ---- login ---- */
quiet = true; // the first /me answers 401 on purpose
await page.goto(root);
await page.waitForSelector('form input[type=password]');
check('first page at most 40 KB gzip', wire > 0 && wire <= 40 * 1024, `${wire} bytes`);
await axe('login, light');
await shot('login');
await page.fill('input[name=username]', user);
await page.fill('input[name=password]', password + 'x');
await page.keyboard.press('Enter');
await page.waitForSelector('[role=alert] .notice');
check('a wrong password says what to do', /not right/.test(await text('[role=alert]')));
await page.fill('input[name=password]', password);
await page.keyboard.press('Enter');
await page.waitForSelector('.frame', { timeout: 10000 });
await settle();
quiet = false;
errors.length = 0;

/* ---- every page at desktop width ---- */
const branches = (await api('/branches'))?.items ?? [];
const scaleOf = (code) => branches.find((b) => b.code === code)?.minor_digits ?? 2;
const meters = (await api('/meters'))?.items ?? [];
const customers = (await api('/customers'))?.items ?? [];
const requests = (await api('/requests'))?.items ?? [];
const runs = (await api('/runs'))?.items ?? [];
const bills = (await api('/bills'))?.items ?? [];
const tariffs = (await api('/tariffs'))?.items ?? [];
const tour = [['live', '/'], ['meters', '/meters'], ['unread', '/unread'], ['customers', '/customers'], ['requests', '/requests'], ['runs', '/runs'], ['bills', '/bills'], ['tariffs', '/tariffs'], ['ledger', '/ledger']];
const one = (name, path, list, key) => (list.length ? tour.push([name, `${path}/${encodeURIComponent(list[0][key])}`]) : skip(`${name}: no data`));
const fullest = async () => { // the customer with most to show
  for (const c of customers.slice(0, 10)) {
    const v = await api('/customers/' + c.customer);
    if (v?.contracts.length) return [v];
  }
  return customers;
};
const shown = await fullest();
const issued = bills.filter((b) => b.state === 'issued');
one('meter', '/meters', meters.filter((m) => m.state === 'active' || m.state === undefined), 'serial');
one('customer', '/customers', shown, 'customer');
one('request', '/requests', requests, 'number');
one('run', '/runs', runs, 'run');
one('bill', '/bills', issued.length ? issued : bills, 'bill');
one('tariff', '/tariffs', tariffs, 'code');

for (const [name, hash] of tour) {
  await theme('light');
  await visit(hash);
  check(`${name}: no failure shown`, (await page.locator('main .notice.bad').count()) === 0, (await page.locator('main .notice.bad').allInnerTexts()).join(' | '));
  check(`${name}: has a heading`, (await page.locator('main h1').count()) === 1);
  check(`${name}: no sideways scrolling at 1360`, (await overflow()) <= 0);
  await axe(`${name}, light`);
  await shot(`${name}-light`);
  await theme('dark');
  await page.waitForTimeout(150);
  await axe(`${name}, dark`);
  await shot(`${name}-dark`);
}
await theme('light');

/* ---- what is shown is what the API says ---- */
if (meters.length) {
  await visit('/meters');
  const all = await text();
  check('meters: every serial of the first page is listed', meters.every((m) => all.includes(m.serial)), meters.find((m) => !all.includes(m.serial))?.serial);
  const m = tour.find(([n]) => n === 'meter');
  if (m) {
    await visit(m[1]);
    const detail = await api('/meters/' + m[1].split('/')[2]);
    check('meter: identity shown', (await text()).includes(detail.identity));
    for (const r of (detail.registers ?? []).slice(0, 2)) {
      const by = { Wh: 1000, varh: 1000, L: 1000, W: 1000 }[r.unit] ?? 1;
      const whole = Math.floor(Number(r.value) * 10 ** (r.scaler ?? 0) / by);
      check(`meter: register ${r.code ?? r.channel}`, shows(await text(), whole), `${whole} not shown`);
    }
    if (await page.locator('.uplot').count()) check('meter: the curve is drawn', (await page.locator('.uplot canvas').count()) === 1);
    else skip('meter: no curve values');
  }
}
if (customers.length) {
  await visit('/customers/' + shown[0].customer);
  const c = await api('/customers/' + shown[0].customer), all = await text();
  check('customer: name', all.includes(c.name));
  check('customer: accounts', c.accounts.every((a) => all.includes(a.number)));
  check('customer: contracts', c.contracts.every((x) => all.includes(x.number)));
  check('customer: meters', c.service_points.flatMap((s) => s.installations).every((i) => all.includes(i.serial)));
  const due = c.accounts.reduce((n, a) => n + Number(a.balance ?? 0), 0);
  check('customer: balance', shows(all, major(due, c.minor_digits)), String(due));
  check('customer: bills', c.bills.slice(0, 3).every((b) => shows(all, major(b.total, c.minor_digits))));
}
if (runs.length) {
  await visit('/runs/' + runs[0].run);
  const r = await api('/runs/' + runs[0].run), all = await text();
  check('run: total', shows(all, major(r.total, r.minor_digits)), String(r.total));
  check('run: counts', shows(all, r.bills) && shows(all, r.held));
}
if (bills.length) {
  const id = (issued[0] ?? bills[0]).bill;
  await visit('/bills/' + id);
  const b = await api('/bills/' + id), all = await text();
  check('bill: total', shows(all, major(b.total, b.minor_digits)));
  check('bill: every line and amount', b.lines.every((l) => shows(all, major(l.amount, b.minor_digits))));
  check('bill: lines add up to the total', b.lines.reduce((n, l) => n + Number(l.amount), 0) === Number(b.total), `${b.total}`);
  if (await page.locator('details.trace').count()) {
    await page.locator('details.trace summary').first().click();
    check('bill: a line opens and shows its steps', (await page.locator('details.trace[open] dd, details.trace[open] li').count()) > 0);
    await shot('bill-line-open');
  }
  const invoice = b.state === 'issued' && (await api('/invoices?account=' + encodeURIComponent(b.account)))?.items.find((x) => x.kind === 'invoice' && x.bill === b.bill);
  if (invoice) {
    check('bill: the invoice number is its title', (await text('main h1')).includes(invoice.number));
    const pdf = await context.request.get(root + (await page.locator('main .actions a.primary').getAttribute('href')).slice(1));
    check('bill: the invoice behind the link is a PDF', pdf.ok() && (await pdf.body()).subarray(0, 5).toString() === '%PDF-', `HTTP ${pdf.status()}`);
  } else skip('bill: no invoice');
}
{
  const l = await api('/ledger/sums');
  if (l) {
    await visit('/ledger');
    const all = await text();
    check('ledger: balanced', l.balanced === true && /Balanced/.test(all));
    check('ledger: every account and sum', (l.items ?? []).every((x) => all.includes(x.gl) && shows(all, major(x.debit, scaleOf(x.branch)))));
  } else skip('ledger');
}
if (requests.length) {
  await visit('/requests/' + requests[0].number);
  const r = await api('/requests/' + requests[0].number), all = await text();
  check('request: thread', r.thread.filter((m) => m.kind !== 'change').every((m) => all.includes(m.text.trim().split('\n')[0])));
}
{
  const d = await api('/completeness');
  if (d?.items?.length) {
    await visit('/');
    const all = await text();
    check('live: every branch', d.items.every((b) => all.includes(b.branch_name ?? b.name ?? b.branch) || all.includes(b.branch)));
  } else skip('live: no completeness');
}

/* ---- keyboard ---- */
await visit('/');
await page.keyboard.press('?');
await page.waitForSelector('dialog[open] .keys', { timeout: 5000 }).catch(() => {});
check('? lists the keys', await page.locator('dialog[open] .keys').isVisible());
await axe('help');
await page.keyboard.press('Escape');
await page.keyboard.press('g');
await page.keyboard.press('c');
await page.waitForFunction(() => location.hash === '#/customers');
check('g c goes to customers', true);
await settle();
await page.keyboard.press('Escape');
if (customers.length) {
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  check('j and k walk the rows', (await page.locator('tr.on').count()) === 1);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /^#\/customers\/\d+/.test(location.hash));
  check('Enter opens the row', true);
  const c = shown.find((x) => x.phone) ?? customers.find((x) => x.phone);
  if (c?.phone) {
    const found = (await api('/search?q=' + c.phone.slice(-6)))?.items ?? [];
    await visit('/');
    await page.keyboard.press('Control+k');
    await page.waitForSelector('.palette[open] input');
    await page.keyboard.type(c.phone.slice(-6), { delay: 15 });
    await page.waitForSelector('.palette .hit');
    check('search: the last six digits find who calls', found[0]?.phone?.endsWith(c.phone.slice(-6)) && (await text('.palette .hit >> nth=0')).includes(found[0].title));
    await axe('search');
    await shot('search-light');
    await page.keyboard.press('Enter');
    await page.waitForFunction((id) => location.hash === '#/customers/' + id, String(found[0]?.customer));
    check('search: Enter opens the customer', true);
  }
}
{
  await visit('/');
  await page.keyboard.press('Tab');
  check('Tab begins with the way to the content', await page.evaluate(() => document.activeElement?.classList.contains('skip') || !!document.activeElement?.closest('.side, .top, main')));
  const outline = await page.evaluate(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; });
  check('focus is visible', outline);
  const small = await page.evaluate(() => [...document.querySelectorAll('button, .btn, select, input, summary, .side a, .tabs a')].filter((e) => e.getClientRects().length && !e.closest('dialog:not([open])'))
    .map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width > 0 && (r.width < 24 || r.height < 24) ).filter(([e]) => e.type !== 'checkbox').map(([e]) => e.outerHTML.slice(0, 90)));
  check('targets are 24 px or more', small.length === 0, small.join(' | '));
}

/* ---- languages ---- */
await page.click('.top .tools [lang=vi]');
await page.waitForFunction(() => document.documentElement.lang === 'vi');
await settle();
check('Vietnamese', /Trực tiếp/.test(await text('.side')) && /Mạng lưới/.test(await text()));
await axe('live, Vietnamese');
if (customers.length) { await visit('/customers/' + shown[0].customer); await shot('customer-vi'); }
await page.click('.top .tools [lang=en]');
await page.waitForFunction(() => document.documentElement.lang === 'en');

/* ---- phone ---- */
await page.setViewportSize({ width: 390, height: 844 });
for (const [name, hash] of tour) {
  await theme(name === 'customer' || name === 'meter' ? 'dark' : 'light');
  await visit(hash);
  check(`${name}: no sideways scrolling on a phone`, (await overflow()) <= 0, `${await overflow()} px`);
  await shot(`${name}-phone`);
}
await theme('light');
await axe('phone');
await page.click('.tabs button');
await page.waitForSelector('dialog[open] nav a');
check('phone: all pages are behind "More"', (await page.locator('dialog[open] nav a:visible').count()) >= 9);
await shot('more-phone');
await page.keyboard.press('Escape');
/* 200 % zoom of a laptop is half its width */
await page.setViewportSize({ width: 680, height: 430 });
await visit('/');
check('200 % zoom: no sideways scrolling', (await overflow()) <= 0);

/* ---- leaving ---- */
quiet = true;
await page.setViewportSize({ width: 1360, height: 860 });
await visit('/');
await page.click('.top .tools button:last-child');
await page.waitForSelector('form input[type=password]');
check('after logging out the API refuses', (await context.request.get(root + 'v1/me')).status() === 401);

const real = [...new Set(errors)].filter((e) => ![...absent].some((u) => e.includes('404') && e.endsWith(u)));
check('no errors in the browser console', real.length === 0, real.slice(0, 6).join(' | '));
if (absent.size) skip(`${absent.size} addresses this installation does not have`);
check('nothing is fetched from elsewhere', foreign.length === 0, foreign[0]);
await browser.close();
console.log(JSON.stringify({ passed, failed: failures.length, failures, skipped }));
process.exit(failures.length ? 1 : 0);
