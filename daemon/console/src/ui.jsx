import { useEffect, useRef, useState } from 'preact/hooks';
import { t, ago, dateTime, percent } from './lib/i18n.js';
import { go } from './lib/router.js';

// Outlines on a 24 grid, drawn for this console.
const paths = {
  live: 'M3 12h4l3-8 4 16 3-8h4', meter: 'M4 20v-6a8 8 0 1 1 16 0v6zM12 14l3.5-4M8 20v-3h8v3', run: 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5',
  bill: 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5', person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.6-6 8-6s8 2 8 6',
  request: 'M4 5h16v11H9l-5 4z', tariff: 'M4 20V4M4 20h16M8 16v-3h3v3M13 16V9h3v7', ledger: 'M5 4h14v16H5zM9 4v16M12 9h4M12 13h4',
  unread: 'M12 3l9.5 17h-19zM12 10v4M12 17v.5', search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L21 21',
  address: 'M12 21s7-6.2 7-11a7 7 0 1 0-14 0c0 4.800 7 11 7 11zM12 12a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600z',
  account: 'M3 7h18v12H3zM3 11h18M7 15h4', contract: 'M6 3h12v18H6zM9 8h6M9 12h6M9 16h3', service_point: 'M13 3L5 14h6l-1 7 8-11h-6z',
  invoice: 'M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6', theme: 'M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z', out: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  more: 'M5 12h.01M12 12h.01M19 12h.01', close: 'M6 6l12 12M18 6L6 18', customer: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.600-6 8-6s8 2 8 6',
};
export const Icon = ({ name }) => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
    <path d={paths[name] || paths.more} />
  </svg>
);

export function Head({ title, crumbs, lead, children }) {
  useEffect(() => { document.title = `${title} · Headrace`; }, [title]);
  return (
    <div class="head">
      <div>
        {crumbs && <nav class="crumbs" aria-label={t('breadcrumbs')}>{crumbs.map(([text, href], i) => <span key={href}>{i > 0 && '/ '}<a href={href}>{text}</a></span>)}</nav>}
        <h1>{title}</h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

export const Panel = ({ title, aside, children, flush, id, class: extra }) => (
  <section class={`panel ${extra || ''}`} aria-label={title} id={id}>
    {title && <header><h2>{title}</h2>{aside && <div class="aside">{aside}</div>}</header>}
    {flush ? children : <div class="body">{children}</div>}
  </section>
);

export const Tile = ({ k, v, unit, n, href, tone, bar }) => {
  const inner = <><span class="k">{k}</span><span class={`v ${tone || ''}`}>{v}{unit && <small>{unit}</small>}</span>{bar !== undefined && <Bar of={bar} tone={tone} label={k} />}{n && <span class="n">{n}</span>}</>;
  return href ? <a class="tile" href={href}>{inner}</a> : <div class="tile">{inner}</div>;
};

export const Bar = ({ of, tone, label, thick }) => {
  const x = Math.max(0, Math.min(1, of || 0));
  return (
    <div class={thick ? 'bar thick' : 'bar'} role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow={Math.round(x * 100)} aria-label={label} aria-valuetext={percent(x)}>
      <i class={tone || ''} style={{ width: `${x * 100}%` }} />
    </div>
  );
};

const tones = {
  ok: 'good', active: 'good', open: 'info', connected: 'good', approved: 'info', issued: 'good', done: 'good', read: 'good', running: 'info', paid: 'good', valid: 'good',
  draft: '', held: 'warn', waiting: 'warn', queued: '', degraded: 'warn', partial: 'warn', test: 'warn', estimated: 'warn', overdue: 'bad', failed: 'bad', cut: 'bad', refused: 'bad',
  reversed: 'bad', cancelled: '', closed: '', removed: '', retired: '', stock: '', unread: 'bad', suspended: 'bad',
};
export const Badge = ({ state, tone, children }) => <span class={`badge ${tone ?? tones[state] ?? ''}`}>{children ?? t('state.' + state, { otherwise: state })}</span>;

export const When = ({ at }) => (at ? <time dateTime={at} title={dateTime(at)}>{ago(at)}</time> : <span class="faint">–</span>);

// A problem of the API as text a person can act on.
export const Failure = ({ error, retry }) => error.code === 'unknown_route' ? <Empty title={t('error.absent')}>{t('error.absent.what')}</Empty> : (
  <div class="notice bad" role="alert">
    <strong>{error.code === 'offline' ? t('error.offline') : error.status === 403 ? t('error.forbidden') : error.status === 404 ? t('error.missing') : t('error.title')}</strong>
    <span>{error.code === 'offline' ? t('error.offline.what') : error.message}</span>
    {error.requestId && <span class="faint small"> · {t('error.request')} <code>{error.requestId}</code></span>}
    {retry && <div><button class="btn" onClick={retry}>{t('again')}</button></div>}
  </div>
);

export const Empty = ({ title, children }) => <div class="empty"><strong>{title}</strong>{children && <p>{children}</p>}</div>;
export const Waiting = ({ lines = 5 }) => <div class="skeleton" role="status" aria-label={t('loading')}>{Array.from({ length: lines }, (_, i) => <i key={i} />)}</div>;

// What a request for data shows while it is not there.
export function Loaded({ api, children, lines, empty }) {
  if (api.data) return <>{api.error && <Failure error={api.error} retry={api.reload} />}{empty && !api.data.items?.length ? empty : children(api.data)}</>;
  if (api.error) return <Failure error={api.error} retry={api.reload} />;
  return <Waiting lines={lines} />;
}

/*
 * columns: { key, label, num, show(row), href(row), empty }; the first column's link is the row's.
 * On a phone every row becomes a card.
 */
export function Table({ label, columns, rows, href, foot, keyOf }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={label}>
      <table class="cards">
        <caption class="sr">{label}</caption>
        <thead><tr>{columns.map((c) => <th key={c.key} scope="col" class={c.num ? 'num' : ''}>{c.label}</th>)}</tr></thead>
        <tbody>
          {rows.map((r, i) => {
            const to = href?.(r);
            return (
              <tr key={keyOf ? keyOf(r) : i} data-row={to ? '' : undefined}
                onClick={to && ((e) => { if (!e.target.closest('a, button, summary, input') && !getSelection().toString()) go(to.slice(1)); })}>
                {columns.map((c, n) => {
                  const v = c.show ? c.show(r) : r[c.key];
                  return <td key={c.key} data-label={c.label} class={c.num ? 'num' : ''}>{n === 0 && to ? <a href={to}>{v}</a> : v ?? ''}</td>;
                })}
              </tr>
            );
          })}
        </tbody>
        {foot && <tfoot><tr>{foot.map((f, i) => <td key={i} class={f.num ? 'num' : ''} colSpan={f.span} data-label={f.label}>{f.text}</td>)}</tr></tfoot>}
      </table>
    </div>
  );
}

export function Dialog({ title, close, children, class: extra }) {
  const ref = useRef();
  useEffect(() => {
    ref.current.showModal();
    const before = document.activeElement;
    return () => before?.focus?.();
  }, []);
  return (
    <dialog ref={ref} class={extra} aria-label={title} onClose={close} onClick={(e) => e.target === ref.current && close()}>
      {!extra && <header><h2>{title}</h2><button class="btn quiet icon" aria-label={t('close')} onClick={close}><Icon name="close" /></button></header>}
      {children}
    </dialog>
  );
}

let push = () => {};
export const toast = (text, bad) => push({ text, bad, id: Math.random() });
export function Toasts() {
  const [list, set] = useState([]);
  push = (m) => {
    set((l) => [...l, m].slice(-3));
    setTimeout(() => set((l) => l.filter((x) => x.id !== m.id)), m.bad ? 12000 : 5000);
  };
  return <div class="toast" role="status" aria-live="polite">{list.map((m) => <div key={m.id} class={m.bad ? 'bad' : ''}>{m.text}</div>)}</div>;
}

// A button that does something: disabled while it runs, one submission however often it is pressed.
export function Act({ run, children, done, class: extra = '', confirm, ...rest }) {
  const [busy, set] = useState(false);
  const click = async () => {
    if (busy || (confirm && !window.confirm(confirm))) return;
    set(true);
    try {
      const r = await run();
      const text = typeof done === 'function' ? done(r) : done;
      if (text) toast(text);
    } catch (e) {
      toast(e.code === 'offline' ? t('error.offline.what') : e.message, true);
    }
    set(false);
  };
  return <button type="button" class={`btn ${extra}`} disabled={busy} aria-busy={busy} onClick={click} {...rest}>{children}</button>;
}

export const Seg = ({ label, value, options, onChange }) => (
  <div class="seg" role="group" aria-label={label}>
    {options.map(([v, text]) => <button key={v} type="button" aria-pressed={v === value ? 'true' : 'false'} onClick={() => onChange(v)}>{text}</button>)}
  </div>
);

export const Facts = ({ rows }) => (
  <dl class="facts">{rows.filter((r) => r && r[1] !== undefined && r[1] !== null && r[1] !== '').map(([k, v]) => <><dt>{k}</dt><dd>{v}</dd></>)}</dl>
);
