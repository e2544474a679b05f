import { money, t } from '../lib/i18n.js';
import { useApi, useLive } from '../lib/use.js';
import { Badge, Empty, Head, Loaded, Panel, Table, Tile } from '../ui.jsx';

export default function Ledger() {
  const api = useApi('/ledger/sums'), branches = useApi('/branches');
  useLive(['bill.', 'payment.', 'invoice.', 'run.'], api.reload, 30);
  const digits = Object.fromEntries((branches.data?.items ?? []).map((b) => [b.code, b.minor_digits]));
  const d = api.data;
  return (
    <>
      <Head title={t('nav.ledger')} lead={t('ledger.lead')}>{d && <Badge tone={d.balanced ? 'good' : 'bad'}>{d.balanced ? t('ledger.balanced') : t('ledger.unbalanced')}</Badge>}</Head>
      <Loaded api={api} lines={8}>{() => (
        <>
          <div class="tiles">{(d.branches ?? []).map((b) => (
            <Tile key={b.branch + b.currency} k={`${b.branch} · ${t('ledger.debit')} = ${t('ledger.credit')}`} v={money(b.debit, b.currency, digits[b.branch])} tone={Number(b.difference) ? 'bad' : ''}
              n={Number(b.difference) ? t('ledger.off', { amount: money(b.difference, b.currency, digits[b.branch]) }) : t('ledger.equal')} />
          ))}</div>
          <Panel title={t('ledger.accounts')} flush>
            {d.items?.length ? <Table label={t('ledger.accounts')} rows={d.items} keyOf={(x) => x.branch + x.gl + x.currency} columns={[
              { key: 'gl', label: t('ledger.gl'), show: (x) => <span class="tab">{x.gl}</span> }, { key: 'name', label: t('col.name') }, { key: 'branch', label: t('col.branch') },
              { key: 'type', label: t('col.type'), show: (x) => t('gl.' + x.type, { otherwise: x.type }) },
              { key: 'debit', label: t('ledger.debit'), num: true, show: (x) => money(x.debit, x.currency, digits[x.branch]) },
              { key: 'credit', label: t('ledger.credit'), num: true, show: (x) => money(x.credit, x.currency, digits[x.branch]) },
              { key: 'balance', label: t('ledger.balance'), num: true, show: (x) => money(x.balance, x.currency, digits[x.branch]) },
            ]} /> : <Empty title={t('ledger.none')}>{t('ledger.none.what')}</Empty>}
          </Panel>
        </>
      )}</Loaded>
    </>
  );
}
