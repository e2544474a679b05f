import en from '../i18n/en.js';

let lang = document.documentElement.lang || 'en';
// Dates and digits as the reader's own region writes them, where it speaks the language shown.
const region = () => (navigator.languages ?? []).find((l) => l.startsWith(lang + '-')) ?? (lang === 'en' ? 'en-GB' : lang);
let texts = en;
const plurals = {};

export async function setLanguage(l) {
  texts = l === 'vi' ? { ...en, ...(await import('../i18n/vi.js')).default } : en;
  lang = l;
  document.documentElement.lang = l;
  try { localStorage.setItem('lang', l); } catch { /* storage switched off */ }
}
export const language = () => lang;
export { region };

// The text of a key; {name} is filled in; a text with forms chooses by n and the language's plural rule.
export function t(key, params = {}) {
  let text = texts[key] ?? en[key];
  if (text === undefined) return params.otherwise ?? key;
  if (typeof text === 'object') {
    const rule = (plurals[lang] ||= new Intl.PluralRules(lang)).select(Number(params.n ?? 0));
    text = text[rule] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (_, k) => (k === 'n' && typeof params.n === 'number' ? number(params.n) : params[k] ?? ''));
}
// A text that the data brings by language: {"en": "...", "vi": "..."}.
export const local = (texts) => (texts && typeof texts === 'object' ? texts[lang] ?? texts.en : texts) ?? '';

const cache = new Map();
function format(kind, options) {
  const key = lang + kind + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl[kind](region(), options));
  return cache.get(key);
}
export const number = (n, digits = 0) =>
  n === null || n === undefined || n === '' || Number.isNaN(Number(n)) ? '–'
    : format('NumberFormat', { maximumFractionDigits: digits, minimumFractionDigits: 0 }).format(n);
export const fixed = (n, digits) =>
  n === null || n === undefined ? '–' : format('NumberFormat', { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(n);
export const percent = (x, digits = 1) =>
  x === null || x === undefined ? '–' : format('NumberFormat', { style: 'percent', maximumFractionDigits: digits }).format(x);

// Minor units, exactly: split before formatting, so that no binary fraction is made of money.
export function money(minor, currency, digits) {
  if (minor === null || minor === undefined || minor === '') return '–';
  digits ??= format('NumberFormat', { style: 'currency', currency: currency || 'EUR' }).resolvedOptions().maximumFractionDigits;
  const big = BigInt(minor), negative = big < 0n, abs = negative ? -big : big, scale = 10n ** BigInt(digits);
  const sign = (/^\D?/.exec(format('NumberFormat', {}).format(-1)) || ['-'])[0];
  const point = format('NumberFormat', { minimumFractionDigits: 1 }).format(0.5).charAt(1);
  const whole = format('NumberFormat', {}).format(abs / scale);
  const part = digits ? point + String(abs % scale).padStart(digits, '0') : '';
  return `${negative ? sign : ''}${whole}${part}${currency ? '\u00a0' + currency : ''}`;
}
// Exact decimal text as the daemon computed it, in the language's digits.
export function decimal(text) {
  const m = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(text ?? ''));
  if (!m) return String(text ?? '–');
  const point = format('NumberFormat', { minimumFractionDigits: 1 }).format(0.5).charAt(1);
  const part = (m[3] || '').replace(/0+$/, '');
  return m[1] + format('NumberFormat', {}).format(BigInt(m[2])) + (part ? point + part : '');
}
// Energy and volume in the unit people use for the size.
export function quantity(value, unit, scaler = 0, digits) {
  if (value === null || value === undefined) return '–';
  let v = Number(value) * 10 ** scaler;
  const up = { Wh: 'kWh', varh: 'kvarh', W: 'kW', L: 'm³' }[unit];
  if (up) { v /= 1000; unit = up; }
  return `${number(v, digits ?? (Math.abs(v) >= 100 ? 1 : 3))}\u00a0${unit}`;
}
const day = (s) => (/^\d{4}-\d\d-\d\d$/.test(s) ? new Date(s + 'T00:00:00') : new Date(s));
export const date = (s) => (s ? format('DateTimeFormat', { year: 'numeric', month: 'short', day: 'numeric' }).format(day(s)) : '–');
export const dateTime = (s) => (s ? format('DateTimeFormat', { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' }).format(new Date(s)) : '–');
export const time = (s) => (s ? format('DateTimeFormat', { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(s)) : '–');
export function ago(s) {
  if (!s) return '–';
  const sec = (new Date(s) - Date.now()) / 1000, abs = Math.abs(sec);
  const [n, unit] = abs < 60 ? [sec, 'second'] : abs < 3600 ? [sec / 60, 'minute'] : abs < 86400 ? [sec / 3600, 'hour'] : [sec / 86400, 'day'];
  return abs > 30 * 86400 ? date(s) : format('RelativeTimeFormat', { numeric: 'auto' }).format(Math.round(n), unit);
}
// A billing period, given as first day and the day after the last.
export function period(from, to) {
  if (!from) return '–';
  if (!to) return t('since', { day: date(from) });
  const last = new Date(day(to) - 12 * 3600e3);
  return `${date(from)} – ${format('DateTimeFormat', { year: 'numeric', month: 'short', day: 'numeric' }).format(last)}`;
}
// Stored with the country's code; a number that begins with 0 was entered without one.
export const phone = (digits) => (digits ? (digits[0] === '0' ? digits : '+' + digits) : '');
