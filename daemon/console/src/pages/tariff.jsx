import { useRef, useState } from 'preact/hooks';
import { post } from '../lib/api.js';
import { date, decimal, local, money, period, t } from '../lib/i18n.js';
import { enc } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Empty, Facts, Failure, Head, Loaded, Panel, Table } from '../ui.jsx';

function Prices({ document: d }) {
  const parts = d?.components ?? d?.lines ?? [];
  if (!parts.length) return <Empty title={t('tariff.noparts')} />;
  const price = (c) => {
    if (c.price !== undefined && typeof c.price !== 'object') return decimal(c.price);
    if (Array.isArray(c.tiers)) return c.tiers.map((x) => `${x.up_to !== undefined && x.up_to !== null ? '≤ ' + decimal(x.up_to) : t('tariff.above')}: ${decimal(x.price ?? x.rate)}`).join(' · ');
    if (c.prices && typeof c.prices === 'object') return Object.entries(c.prices).map(([k, v]) => `${k}: ${typeof v === 'object' ? '…' : decimal(v)}`).join(' · ');
    return c.rate !== undefined ? decimal(c.rate) : c.amount !== undefined ? decimal(c.amount) : '';
  };
  return <Table label={t('tariff.parts')} rows={parts} columns={[
    { key: 'name', label: t('col.line'), show: (c) => local(c.label ?? c.name ?? c.code ?? c.id) },
    { key: 'type', label: t('col.type'), show: (c) => c.type ?? c.kind },
    { key: 'price', label: t('col.price'), show: (c) => <span class="tab">{price(c)}</span> },
    { key: 'unit', label: t('col.unit'), show: (c) => c.unit ?? c.per ?? c.quantity },
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
          <label class="field">{t('col.contract')}<input name="contract" required autocomplete="off" /></label>
          <label class="field">{t('run.from')}<input name="from" type="date" required defaultValue={first(-1)} /></label>
          <label class="field">{t('run.to')}<input name="to" type="date" required defaultValue={first(0)} /></label>
        </div>
        <div><button class="btn primary" disabled={busy} aria-busy={busy}>{t('whatif.go')}</button></div>
        {error && <Failure error={error} />}
        {result && <>
          <Facts rows={[[t('col.total'), <b class="tab">{money(result.total, currency, digits)}</b>], [t('whatif.now'), result.current_total !== undefined ? money(result.current_total, currency, digits) : undefined]]} />
          {result.lines?.length > 0 && <Table label={t('bill.lines')} rows={result.lines} columns={[
            { key: 'label', label: t('col.line'), show: (l) => l.label || l.code },
            { key: 'quantity', label: t('col.quantity'), num: true, show: (l) => `${decimal(l.quantity)} ${l.unit ?? ''}` },
            { key: 'price', label: t('col.price'), num: true, show: (l) => decimal(l.price) },
            { key: 'amount', label: t('col.amount'), num: true, show: (l) => money(l.amount, currency, digits) },
          ]} />}
        </>}
      </form>
    </Panel>
  );
}

export default function Tariff({ id }) {
  const api = useApi(`/tariffs/${enc(id)}`);
  const x = api.data;
  const versions = x?.versions ?? (x?.version ? [x] : []);
  const shown = versions.find((v) => v.state === 'active') ?? versions[0];
  return (
    <>
      <Head title={x?.name || id} crumbs={[[t('nav.tariffs'), '#/tariffs']]} lead={x && [id, t('commodity.' + x.commodity), x.currency].filter(Boolean).join(' · ')} />
      <Loaded api={api} lines={8}>{() => (
        <div class="cols wide-first">
          <div class="stack">
            <Panel title={t('tariff.parts')} flush><Prices document={shown?.document ?? x.document} /></Panel>
            <WhatIf code={id} tariff={x} />
          </div>
          <div class="stack">
            <Panel title={t('tariff.versions')} flush>
              {versions.length ? <Table label={t('tariff.versions')} rows={versions} keyOf={(v) => v.version} columns={[
                { key: 'version', label: t('col.version'), show: (v) => `v${v.version}` },
                { key: 'valid', label: t('col.valid'), show: (v) => (v.from ?? v.valid_from ? period(v.from ?? v.valid_from, v.to ?? v.valid_to) : '') },
                { key: 'state', label: t('col.state'), show: (v) => <Badge state={v.state} /> },
              ]} /> : <Empty title={t('tariffs.none')} />}
            </Panel>
            <Panel title={t('tariff.document')}><details class="trace"><summary>{t('tariff.show')}</summary><pre>{JSON.stringify(shown?.document ?? x.document ?? x, null, 1)}</pre></details>
              <p class="small soft">{shown?.from && t('since', { day: date(shown.from) })}</p></Panel>
          </div>
        </div>
      )}</Loaded>
    </>
  );
}
