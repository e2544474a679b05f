import { query } from '../lib/api.js';
import { date, money, number, period, t } from '../lib/i18n.js';
import { setSearch } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Empty, Head, Loaded, Panel, Seg, Table } from '../ui.jsx';

export default function Bills({ search }) {
  const state = search.get('state') || '';
  const api = useApi('/bills' + query({ state, before: search.get('before'), limit: 100 }));
  const branches = useApi('/branches');
  const digits = Object.fromEntries((branches.data?.items ?? []).map((b) => [b.currency, b.minor_digits]));
  return (
    <>
      <Head title={t('nav.bills')} lead={t('bills.lead')} />
      <div class="filters"><Seg label={t('col.state')} value={state} onChange={(s) => setSearch({ state: s })} options={[['', t('all')], ...['draft', 'held', 'issued', 'reversed'].map((s) => [s, t('state.' + s)])]} /></div>
      <Panel title={t('nav.bills')} flush>
        <Loaded api={api} lines={9} empty={<Empty title={t('bills.none')}>{t('bills.none.what')}</Empty>}>{(d) => (
          <Table label={t('nav.bills')} rows={d.items} keyOf={(b) => b.bill} href={(b) => `#/bills/${b.bill}`} columns={[
            { key: 'party', label: t('col.customer') },
            { key: 'account', label: t('col.account'), show: (b) => <span class="tab">{b.account}</span> },
            { key: 'period', label: t('col.period.billed'), show: (b) => period(b.from, b.to) },
            { key: 'quantity', label: t('col.quantity'), num: true, show: (b) => (b.quantity !== null ? `${number(b.quantity, 1)} ${b.unit}` : '') },
            { key: 'total', label: t('col.total'), num: true, show: (b) => money(b.total, b.currency, digits[b.currency]) },
            { key: 'due', label: t('col.due'), show: (b) => (b.due ? date(b.due) : '') },
            { key: 'state', label: t('col.state'), show: (b) => <Badge state={b.state} /> },
          ]} />
        )}</Loaded>
      </Panel>
      {api.data?.next && <div class="actions"><a class="btn" href={'#/bills' + query({ state, before: api.data.next })}>{t('more')}</a></div>}
    </>
  );
}
