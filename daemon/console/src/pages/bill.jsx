import { useMemo, useRef, useState } from 'preact/hooks';
import { post } from '../lib/api.js';
import { date, decimal, money, number, period, t } from '../lib/i18n.js';
import { enc } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Bar, Dialog, Empty, Facts, Failure, Head, Loaded, Panel, Table, Tile, toast } from '../ui.jsx';
import { DayBars } from '../chart.jsx';

// "Energy, tier 2": tiers of one component share its text.
function nameOf(l) {
  const tier = /_t(\d+)$/.exec(l.code)?.[1];
  const text = l.label || l.code.replaceAll('_', ' ');
  return tier ? t('bill.tier', { text, tier }) : text;
}
const quantityOf = (name) => t('channel.' + name, { otherwise: name });

// How the rating came to a line: its own sentences, in order, between the tariff version and the exact amount.
function Trace({ line, currency }) {
  const s = line.steps;
  return (
    <div class="stack trace-steps">
      <p class="small soft">{[line.tariff?.tariff ?? line.tariff?.code, (line.tariff?.version ?? undefined) !== undefined && t('bill.version', { version: line.tariff.version }), s.from && period(s.from, s.to)].filter(Boolean).join(' · ')}</p>
      {Array.isArray(s.steps) && s.steps.length > 0 && <ol>{s.steps.map((x, i) => <li key={i}>{typeof x === 'string' ? x : JSON.stringify(x)}</li>)}</ol>}
      <p class="tab">{s.price !== undefined && <>{decimal(s.quantity)} {s.unit} × {decimal(s.price)} = </>}<b>{decimal(line.exact)}</b> {currency} <span class="soft">{t('bill.exact')}</span></p>
    </div>
  );
}

function Daily({ readings, from }) {
  // Parts of the day by price period where the rating kept them apart, else the whole.
  const chosen = useMemo(() => {
    const all = (readings ?? []).filter((r) => r.daily?.length > 1);
    const unit = all[0]?.unit;
    const parts = all.filter((r) => r.unit === unit && r.name.startsWith((all[0].name.split('.')[0])));
    const byPeriod = parts.filter((r) => /\.(peak|offpeak|off_peak|normal|standard|shoulder|low|high)$/.test(r.name));
    return byPeriod.length > 1 ? byPeriod : all.slice(0, 1);
  }, [readings]);
  if (!chosen.length) return <Empty title={t('bill.daily.none')} />;
  const start = Date.parse(from + 'T00:00:00Z');
  const days = chosen[0].daily.map((_, i) => ({
    day: new Date(start + i * 86400e3).toISOString().slice(0, 10),
    parts: chosen.map((c) => Number(c.daily[i]?.quantity ?? c.daily[i] ?? 0)),
  }));
  const sum = chosen.reduce((a, c) => a + Number(c.quantity), 0);
  return <DayBars days={days} names={chosen.map((c) => quantityOf(c.name))} unit={chosen[0].unit}
    show={(d, short) => (short ? String(Number(d.slice(8))) + '.' + String(Number(d.slice(5, 7))) : date(d))}
    label={t('bill.daily.label', { sum: number(sum, 1), unit: chosen[0].unit, n: days.length })} />;
}

function Comparison({ c, currency, digits }) {
  const m = (v) => `${v > 0 ? '+' : ''}${money(v, currency, digits)}`;
  const most = Math.max(1, ...[c.by_days, c.by_use, c.by_price].map((v) => Math.abs(Number(v))));
  return (
    <div class="stack">
      <p class="soft">{t('bill.compare', { period: period(c.from, c.to), total: money(c.total, currency, digits) })}</p>
      <ul class="causes">{[['by_days', c.by_days], ['by_use', c.by_use], ['by_price', c.by_price]].map(([k, v]) => (
        <li key={k}><div><span>{t('bill.' + k)}</span><span class="tab">{m(Number(v))}</span><Bar of={Math.abs(Number(v)) / most} tone={Number(v) > 0 ? 'warn' : 'good'} label={t('bill.' + k)} /></div></li>))}
        <li><div class="strong"><span>{t('bill.difference')}</span><span class="tab">{m(Number(c.difference))}</span></div></li>
      </ul>
    </div>
  );
}

function Reason({ title, go, close, done }) {
  const form = useRef();
  const [error, setError] = useState(null);
  const save = async (e) => {
    e.preventDefault();
    try { await go(form.current.elements.reason.value); toast(done); close(); } catch (x) { setError(x); }
  };
  return (
    <Dialog title={title} close={close}>
      <form class="body" ref={form} onSubmit={save}>
        <label class="field">{t('col.reason')}<textarea name="reason" required minLength={3} maxLength={500} autofocus /></label>
        {error && <Failure error={error} />}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary">{title}</button></footer>
      </form>
    </Dialog>
  );
}

export default function Bill({ id }) {
  const api = useApi(`/bills/${enc(id)}`), why = useApi(`/bills/${enc(id)}/explain`);
  const [open, set] = useState('');
  const b = api.data, e = why.data;
  const traces = Object.fromEntries((e?.lines ?? []).map((l) => [l.line, l]));
  const m = (v) => money(v, b.currency, b.minor_digits);
  const reload = () => { api.reload(); why.reload(); };
  const invoices = useApi(b?.state === 'issued' || b?.state === 'reversed' ? `/invoices?account=${enc(b.account)}` : null);
  const invoice = invoices.data?.items.find((i) => i.kind === 'invoice' && i.bill === b.bill)?.number;
  return (
    <>
      <Head title={t('bill.number', { bill: invoice ?? id })} crumbs={[[t('nav.bills'), '#/bills'], ...(b?.run ? [[t('run.number', { run: b.run }), `#/runs/${b.run}`]] : [])]} lead={b && `${b.party} · ${period(b.from, b.to)}`}>
        {b?.state === 'held' && <button class="btn primary" onClick={() => set('release')}>{t('bill.release')}</button>}
        {b?.state === 'issued' && <button class="btn" onClick={() => set('reverse')}>{t('bill.reverse')}</button>}
        {invoice && <a class="btn primary" href={`/v1/invoices/${enc(invoice)}/pdf`} target="_blank" rel="noopener">{t('invoice.pdf')}</a>}
      </Head>
      <Loaded api={api} lines={9}>{() => (
        <>
          <div class="tiles">
            <Tile k={t('col.total')} v={m(b.total)} n={t('run.tax', { tax: m(b.tax) })} />
            <Tile k={t('col.quantity')} v={b.quantity !== null ? number(b.quantity, 1) : '–'} unit={b.unit} n={b.days && b.quantity !== null ? t('bill.perday', { n: b.days, q: number(b.quantity / b.days, 2), unit: b.unit }) : undefined} />
            <Tile k={t('col.due')} v={b.due ? date(b.due) : '–'} n={b.issued_at ? t('bill.issued', { day: date(b.issued_at) }) : t('bill.notissued')} />
            <Tile k={t('col.tariff')} v={b.tariff} n={t('class.' + b.class, { otherwise: b.class })} href={`#/tariffs/${enc(b.tariff)}`} />
          </div>
          {b.exceptions?.length > 0 && <div class="notice warn"><strong>{t('bill.exceptions')}</strong><ul>{b.exceptions.map((x) => <li key={x.code}>{t('exception.' + x.code, { otherwise: x.code })}{x.text ? `: ${x.text}` : ''}</li>)}</ul></div>}
          <div class="cols wide-first">
            <div class="stack">
              <Panel title={t('bill.lines')} flush aside={t('bill.lines.what')}>
                <Table label={t('bill.lines')} rows={b.lines} keyOf={(l) => l.line} columns={[
                  { key: 'label', label: t('col.line'), show: (l) => (
                    <div><span class="strong">{nameOf(l)}</span>
                      {traces[l.line]?.steps && <details class="trace"><summary>{t('bill.how')}</summary><Trace line={traces[l.line]} currency={b.currency} /></details>}</div>) },
                  { key: 'quantity', label: t('col.quantity'), num: true, show: (l) => (Number(l.quantity) === 1 && !l.unit ? '' : `${decimal(l.quantity)} ${l.unit}`) },
                  { key: 'price', label: t('col.price'), num: true, show: (l) => (l.unit === b.currency ? `${number(l.price * 100, 4)} %` : decimal(l.price)) },
                  { key: 'amount', label: t('col.amount'), num: true, show: (l) => m(l.amount) },
                ]} foot={[{ text: t('col.total'), span: 3 }, { text: m(b.total), num: true }]} />
              </Panel>
              <Panel title={t('bill.daily')}>{why.error ? <Failure error={why.error} retry={why.reload} /> : <Daily readings={e?.readings} from={b.from} />}</Panel>
            </div>
            <div class="stack">
              <Panel title={t('bill.why')}>{e?.comparison ? <Comparison c={e.comparison} currency={b.currency} digits={b.minor_digits} /> : <Empty title={t('bill.first')} />}</Panel>
              <Panel title={t('bill.readings')} flush>
                {b.determinants?.length ? <Table label={t('bill.readings')} rows={b.determinants} columns={[
                  { key: 'name', label: t('col.quantity'), show: (d) => quantityOf(d.name) },
                  { key: 'q', label: t('col.value'), num: true, show: (d) => `${decimal(d.quantity)} ${d.unit}` },
                  { key: 'status', label: t('col.quality'), show: (d) => <Badge tone={d.status === 'measured' ? 'good' : d.status === 'derived' ? '' : 'warn'}>{t('quality.' + d.status, { otherwise: d.status })}</Badge> },
                ]} /> : <Empty title={t('registers.none')} />}
              </Panel>
              <Panel title={t('bill.facts')}><Facts rows={[[t('col.state'), <Badge state={b.state} />], [t('col.customer'), <a href={`#/customers/${enc(b.account)}`}>{b.party}</a>], [t('col.account'), b.account], [t('col.contract'), b.contract],
                [t('col.point'), b.service_point], [t('col.run'), <a href={`#/runs/${b.run}`}>{t('run.number', { run: b.run })}</a>], [t('bill.previous'), b.previous && <a href={`#/bills/${b.previous}`}>{t('bill.number', { bill: b.previous })}</a>],
                [t('bill.reversal'), b.reversal_reason], [t('bill.released'), b.release_reason && `${b.release_reason} (${b.released_by})`]]} /></Panel>
            </div>
          </div>
          {open === 'release' && <Reason title={t('bill.release')} done={t('bill.release.done')} close={() => set('')} go={async (reason) => { await post(`/bills/${id}/release`, { reason }); reload(); }} />}
          {open === 'reverse' && <Reason title={t('bill.reverse')} done={t('bill.reverse.done')} close={() => set('')} go={async (reason) => { await post(`/bills/${id}/reverse`, { reason }); reload(); }} />}
        </>
      )}</Loaded>
    </>
  );
}
