import { useRef, useState } from 'preact/hooks';
import { call, post } from '../lib/api.js';
import { date, dateTime, local, money, number, period, phone, quantity, t } from '../lib/i18n.js';
import { useKeys } from '../lib/keys.js';
import { enc, go } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Badge, Dialog, Empty, Facts, Failure, Head, Loaded, Panel, Table, Tile, toast, When } from '../ui.jsx';
import { NewRequest } from './request.jsx';

function TakePayment({ customer, accounts, close, reload }) {
  const form = useRef();
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const digits = customer.minor_digits ?? 2;
  // One key for this dialog: pressing twice, or a lost answer, posts once.
  const key = useRef([...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join(''));
  const due = accounts.find((a) => Number(a.balance) > 0) ?? accounts[0];
  const plain = (minor) => (Number(minor) > 0 ? (digits ? (BigInt(minor) / 10n ** BigInt(digits)) + '.' + String(BigInt(minor) % 10n ** BigInt(digits)).padStart(digits, '0') : String(minor)) : '');
  const save = async (e) => {
    e.preventDefault();
    if (busy) return;
    const f = new FormData(form.current), text = String(f.get('amount')).replace(/\s/g, '');
    const m = /^(\d+)(?:[.,](\d+))?$/.exec(text);
    if (!m || (m[2] || '').length > digits) { setError({ message: t('pay.bad', { digits }) }); return; }
    const amount = Number(BigInt(m[1] + (m[2] || '').padEnd(digits, '0')));
    setBusy(true);
    try {
      await call('POST', '/payments', { account: f.get('account'), amount, currency: customer.currency, channel: f.get('channel'), reference: f.get('reference') || `console-${key.current.slice(0, 12)}` }, { key: key.current });
      toast(t('pay.posted', { amount: money(amount, customer.currency, digits) }));
      close();
      reload();
    } catch (x) { setError(x); }
    setBusy(false);
  };
  return (
    <Dialog title={t('pay.title')} close={close}>
      <form class="body" ref={form} onSubmit={save}>
        <label class="field">{t('col.account')}<select name="account">{accounts.map((a) => <option key={a.number} value={a.number} selected={a === due}>{a.number} · {money(a.balance, customer.currency, digits)}</option>)}</select></label>
        <div class="cols">
          <label class="field">{t('pay.amount', { currency: customer.currency })}<input name="amount" inputMode="decimal" required defaultValue={plain(due?.balance)} autofocus /></label>
          <label class="field">{t('pay.method')}<select name="channel">{['cash', 'card', 'bank'].map((x) => <option key={x} value={x}>{t('pay.' + x)}</option>)}</select></label>
        </div>
        <label class="field">{t('pay.reference')}<input name="reference" autocomplete="off" /></label>
        {error && <Failure error={error} />}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary" disabled={busy}>{t('pay.go')}</button></footer>
      </form>
    </Dialog>
  );
}

function Edit({ c, close, reload }) {
  const form = useRef();
  const [error, setError] = useState(null);
  const save = async (e) => {
    e.preventDefault();
    const f = new FormData(form.current), body = {};
    for (const k of ['name', 'phone', 'email', 'tax_id']) if ((f.get(k) ?? '') !== (c[k] ?? '')) body[k] = f.get(k);
    if (f.get('reason')) body.reason = f.get('reason');
    try {
      await call('PATCH', `/customers/${c.customer}`, body);
      toast(t('saved'));
      close();
      reload();
    } catch (x) { setError(x); }
  };
  return (
    <Dialog title={t('customer.edit')} close={close}>
      <form class="body" ref={form} onSubmit={save}>
        <label class="field">{t('col.name')}<input name="name" required defaultValue={c.name} /></label>
        <div class="cols">
          <label class="field">{t('col.phone')}<input name="phone" defaultValue={c.phone ?? ''} /></label>
          <label class="field">{t('col.email')}<input name="email" type="email" defaultValue={c.email ?? ''} /></label>
          <label class="field">{t('col.tax')}<input name="tax_id" defaultValue={c.tax_id ?? ''} /></label>
          <label class="field">{t('col.reason')}<input name="reason" /></label>
        </div>
        {error && <Failure error={error} />}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary">{t('save')}</button></footer>
      </form>
    </Dialog>
  );
}

function Reads({ r }) {
  const max = Math.max(1, ...r.values.map((v) => Number(v.value)));
  const list = [...r.values].reverse();
  return (
    <div class="stack">
      <div class="head"><div><h3><a href={`#/meters/${enc(r.serial)}`}>{r.serial}</a></h3>
        <span class="small soft">{r.register ? <>{t('col.register')} <b class="tab">{quantity(r.register.value, r.unit, r.scaler, 2)}</b> · <When at={r.register.at} /></> : t('registers.none')}</span></div></div>
      {list.length > 0 && <>
        <svg class="bars" viewBox={`0 0 ${list.length * 20} 60`} preserveAspectRatio="none" style={{ height: '4.5rem' }} role="img" aria-label={t('reads.label', { n: list.length })}>
          {list.map((v, i) => <rect key={v.at} class="k1" x={i * 20 + 3} width="14" y={60 - 58 * Number(v.value) / max} height={Math.max(1, 58 * Number(v.value) / max)}><title>{`${dateTime(v.at)}: ${quantity(v.value, r.unit, r.scaler, 3)}`}</title></rect>)}
        </svg>
        <details><summary>{t('reads.list', { n: list.length })}</summary>
          <Table label={t('reads.title')} rows={r.values} keyOf={(v) => v.at} columns={[
            { key: 'at', label: t('time'), show: (v) => dateTime(v.at) },
            { key: 'value', label: t('col.value'), num: true, show: (v) => quantity(v.value, r.unit, r.scaler, 3) },
            { key: 'status', label: t('col.quality'), show: (v) => t('quality.' + (v.status & 15), { otherwise: '' }) },
          ]} /></details>
      </>}
    </div>
  );
}

export default function Customer({ id }) {
  const api = useApi(`/customers/${enc(id)}`);
  const [open, set] = useState('');
  const close = () => set('');
  useLive(['customer.', 'payment.', 'request.', 'bill.', 'contract.', 'invoice.'], api.reload);
  const c = api.data;
  useKeys(c ? { p: () => set('pay'), n: () => set('request'), e: () => set('edit') } : {});
  const due = c?.accounts.reduce((a, x) => a + Number(x.balance ?? 0), 0);
  const overdue = c?.accounts.reduce((a, x) => a + Number(x.overdue ?? 0), 0);
  const running = c?.requests.filter((r) => r.state !== 'closed') ?? [];
  const last = c?.bills[0];
  return (
    <>
      <Head title={c?.name ?? t('customer')} crumbs={[[t('nav.customers'), '#/customers']]} lead={c && [t('kind.' + c.kind), phone(c.phone), c.branch_name].filter(Boolean).join(' · ')}>
        {c && <><button class="btn" onClick={() => set('edit')}>{t('edit')}</button><button class="btn" onClick={() => set('request')}>{t('request.new')}</button>
          <button class="btn primary" onClick={() => set('pay')} disabled={!c.accounts.length}>{t('pay.title')} <kbd aria-hidden="true">p</kbd></button></>}
      </Head>
      <Loaded api={api} lines={10}>{() => (
        <>
          <div class="tiles">
            <Tile k={due < 0 ? t('tile.credit') : t('tile.due')} v={money(Math.abs(due), c.currency, c.minor_digits)} tone={overdue > 0 ? 'bad' : ''} n={overdue > 0 ? t('tile.overdue', { amount: money(overdue, c.currency, c.minor_digits) }) : t('tile.accounts', { n: c.accounts.length })} />
            <Tile k={t('tile.lastbill')} v={last ? money(last.total, c.currency, c.minor_digits) : '–'} n={last ? period(last.from, last.to) : t('bills.none')} href={last && `#/bills/${last.bill}`} />
            <Tile k={t('tile.contracts')} v={number(c.contracts.filter((x) => x.active).length)} n={c.contracts.filter((x) => x.active).map((x) => x.tariff).join(', ')} />
            <Tile k={t('tile.requests')} v={number(running.length)} tone={running.some((r) => r.overdue) ? 'bad' : ''} n={running[0] ? local(running[0].type_name) : t('requests.quiet')} />
          </div>
          <div class="cols wide-first">
            <div class="stack">
              <Panel title={t('contracts.title')} flush>
                {c.contracts.length ? <Table label={t('contracts.title')} rows={c.contracts} keyOf={(x) => x.number} columns={[
                  { key: 'number', label: t('col.contract') },
                  { key: 'commodity', label: t('col.commodity'), show: (x) => t('commodity.' + x.commodity) },
                  { key: 'tariff', label: t('col.tariff'), show: (x) => <a href={`#/tariffs/${enc(x.tariff)}`}>{x.tariff}</a> },
                  { key: 'valid', label: t('col.valid'), show: (x) => period(x.from, x.to) },
                  { key: 'point', label: t('col.point'), show: (x) => <span class="tab">{x.service_point}</span> },
                  { key: 'active', label: t('col.state'), show: (x) => <Badge state={x.active ? 'active' : 'closed'} /> },
                ]} /> : <Empty title={t('contracts.none')} />}
              </Panel>
              <Panel title={t('bills.title')} flush>
                {c.bills.length ? <Table label={t('bills.title')} rows={c.bills} keyOf={(b) => b.bill} href={(b) => `#/bills/${b.bill}`} columns={[
                  { key: 'period', label: t('col.period.billed'), show: (b) => period(b.from, b.to) },
                  { key: 'quantity', label: t('col.quantity'), num: true, show: (b) => (b.quantity ? `${number(b.quantity, 1)} ${b.unit ?? ''}` : '') },
                  { key: 'total', label: t('col.total'), num: true, show: (b) => money(b.total, b.currency, c.minor_digits) },
                  { key: 'due', label: t('col.due'), show: (b) => date(b.due) },
                  { key: 'state', label: t('col.state'), show: (b) => <Badge state={b.state} /> },
                ]} /> : <Empty title={t('bills.none')}>{t('bills.none.what')}</Empty>}
              </Panel>
              <Panel title={t('nav.requests')} flush>
                {c.requests.length ? <Table label={t('nav.requests')} rows={c.requests} keyOf={(r) => r.number} href={(r) => `#/requests/${enc(r.number)}`} columns={[
                  { key: 'number', label: t('col.number') }, { key: 'type', label: t('col.type'), show: (r) => local(r.type_name) },
                  { key: 'state', label: t('col.state'), show: (r) => <Badge state={r.overdue ? 'overdue' : r.state} /> },
                  { key: 'due', label: t('col.due'), show: (r) => <When at={r.due_at} /> },
                ]} /> : <Empty title={t('requests.quiet')} />}
              </Panel>
            </div>
            <div class="stack">
              <Panel title={t('customer.facts')}>
                <Facts rows={[[t('col.customer'), c.customer], [t('col.account'), c.accounts.map((a) => a.number).join(', ')], [t('col.tax'), c.tax_id],
                  [t('col.email'), c.email], [t('col.language'), t('language.' + c.language, { otherwise: c.language })], [t('col.since'), date(c.created_at)],
                  [t('col.version'), c.version]]} />
              </Panel>
              {c.service_points.map((s) => (
                <Panel key={s.code} title={s.address} aside={<Badge state={s.state} />}>
                  <Facts rows={[[t('col.point'), <code>{s.code}</code>], [t('col.commodity'), t('commodity.' + s.commodity)], [t('col.city'), s.city],
                    ...s.installations.map((i) => [i.installed ? t('col.meter') : t('col.meter.before'), <><a href={`#/meters/${enc(i.serial)}`}>{i.serial}</a> <span class="soft small">{period(i.from, i.to)}</span></>])]} />
                </Panel>
              ))}
              {c.reads.length > 0 && <Panel title={t('reads.title')}><div class="stack">{c.reads.map((r) => <Reads key={r.serial} r={r} />)}</div></Panel>}
            </div>
          </div>
          {open === 'pay' && <TakePayment customer={c} accounts={c.accounts} close={close} reload={api.reload} />}
          {open === 'edit' && <Edit c={c} close={close} reload={api.reload} />}
          {open === 'request' && <NewRequest customer={c} close={close} done={(r) => go(`/requests/${enc(r.number)}`)} />}
        </>
      )}</Loaded>
    </>
  );
}
