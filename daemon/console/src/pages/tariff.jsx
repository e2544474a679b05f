import { useRef, useState } from 'preact/hooks';
import { post, query } from '../lib/api.js';
import { decimal, local, money, period, t } from '../lib/i18n.js';
import { enc } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Empty, Facts, Failure, Head, Loaded, Panel, Table } from '../ui.jsx';

const rate = (x) => (x && typeof x === 'object' ? Object.entries(x).map(([k, v]) => `${t('period.' + k, { otherwise: k })} ${rate(v)}`).join(' · ') : x === undefined ? '' : decimal(x));

// One component's price in a line: a flat rate, tiers, prices by period, a percentage.
function price(c) {
  if (c.pct !== undefined) return `${decimal(c.pct)} %${c.of ? ` (${[].concat(c.of).join(', ')})` : ''}`;
  if (Array.isArray(c.tiers)) return c.tiers.map((x) => <div key={x.upto}>{x.upto !== undefined ? `≤ ${decimal(x.upto)}` : t('tariff.above')}: {rate(x.rate ?? x.rates ?? x.price)}</div>);
  return rate(c.rate ?? c.rates ?? c.price ?? c.amount);
}

function Prices({ document: d }) {
  const parts = d?.components ?? [];
  if (!parts.length) return <Empty title={t('tariff.noparts')} />;
  return <Table label={t('tariff.parts')} rows={parts} keyOf={(c) => c.code} columns={[
    { key: 'text', label: t('col.line'), show: (c) => <span class="strong">{local(c.text) || c.code}</span> },
    { key: 'type', label: t('col.type'), show: (c) => t('component.' + c.type, { otherwise: c.type.replaceAll('_', ' ') }) },
    { key: 'price', label: t('col.price'), num: true, show: price },
  ]} />;
}

// Prices a quantity with this tariff, or a contract's real use of a period.
function WhatIf({ code, tariff }) {
  const [result, set] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef();
  const now = new Date();
  const first = (m) => new Date(Date.UTC(now.getFullYear(), now.getMonth() + m, 1)).toISOString().slice(0, 10);
  const run = async (e) => {
    e.preventDefault();
    setBusy(true);
    try {
      const f = Object.fromEntries([...new FormData(form.current)].filter(([, v]) => v !== ''));
      set(await post(`/tariffs/${enc(code)}/whatif`, f));
      setError(null);
    } catch (x) { setError(x); }
    setBusy(false);
  };
  const digits = tariff.minor_digits ?? result?.minor_digits;
  const currency = result?.currency ?? tariff.currency;
  return (
    <Panel title={t('whatif.title')}>
      <form class="stack" ref={form} onSubmit={run}>
        <div class="cols">
          <label class="field">{t('col.account')}<input name="account" required autocomplete="off" /></label>
          <label class="field">{t('run.from')}<input name="from" type="date" required defaultValue={first(-1)} /></label>
          <label class="field">{t('run.to')}<input name="to" type="date" required defaultValue={first(0)} /></label>
        </div>
        <div><button class="btn primary" disabled={busy} aria-busy={busy}>{t('whatif.go')}</button></div>
        {error && <Failure error={error} />}
        {result && <>
          <Facts rows={[[t('col.total'), <b class="tab">{money(result.total, currency, digits)}</b>], [t('whatif.now'), result.current?.total !== undefined ? money(result.current.total, currency, digits) : undefined]]} />
          {result.lines?.length > 0 && <Table label={t('bill.lines')} rows={result.lines} columns={[
            { key: 'label', label: t('col.line'), show: (l) => l.text || l.label || l.code },
            { key: 'quantity', label: t('col.quantity'), num: true, show: (l) => `${decimal(l.quantity)} ${l.unit ?? ''}` },
            { key: 'price', label: t('col.price'), num: true, show: (l) => decimal(l.price) },
            { key: 'amount', label: t('col.amount'), num: true, show: (l) => money(l.amount, currency, digits) },
          ]} />}
        </>}
      </form>
    </Panel>
  );
}

export default function Tariff({ id, search }) {
  const api = useApi(`/tariffs/${enc(id)}` + query({ version: search.get('version') }));
  const x = api.data;
  const versions = x?.versions ?? (x?.version ? [x] : []);
  const shown = x;
  return (
    <>
      <Head title={x?.name || id} crumbs={[[t('nav.tariffs'), '#/tariffs']]} lead={x && [id, t('commodity.' + x.commodity), x.currency].filter(Boolean).join(' · ')} />
      <Loaded api={api} lines={8}>{() => (
        <div class="cols wide-first">
          <div class="stack">
            <Panel title={t('tariff.parts')} flush><Prices document={x.document} /></Panel>
            <WhatIf code={id} tariff={x} />
          </div>
          <div class="stack">
            <Panel title={t('tariff.versions')} flush>
              {versions.length ? <Table label={t('tariff.versions')} rows={versions} keyOf={(v) => v.version} columns={[
                { key: 'version', label: t('col.version'), show: (v) => `v${v.version}` },
                { key: 'valid', label: t('col.valid'), show: (v) => (v.from ? period(v.from, v.to) : '') },
                { key: 'state', label: t('col.state'), show: (v) => <Badge state={v.state} /> },
              ]} /> : <Empty title={t('tariffs.none')} />}
            </Panel>
            <Panel title={t('tariff.document')}><details class="trace"><summary>{t('tariff.show')}</summary><pre>{JSON.stringify(x.document, null, 1)}</pre></details></Panel>
          </div>
        </div>
      )}</Loaded>
    </>
  );
}
