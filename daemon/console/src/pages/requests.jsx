import { query } from '../lib/api.js';
import { local, t } from '../lib/i18n.js';
import { enc, setSearch } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Badge, Empty, Head, Loaded, Panel, Seg, Table, When } from '../ui.jsx';

export default function Requests({ search }) {
  const state = search.get('state') || 'active', type = search.get('type') || '';
  const types = useApi('/request-types');
  const api = useApi('/requests' + query({ state: state === 'all' ? '' : state, type, cursor: search.get('after') }));
  useLive(['request.'], api.reload, 30);
  return (
    <>
      <Head title={t('nav.requests')} lead={api.data ? t('requests.lead', { n: api.data.open, overdue: api.data.overdue }) : undefined} />
      <div class="filters">
        <Seg label={t('col.state')} value={state} onChange={(s) => setSearch({ state: s, type })} options={[['active', t('requests.active')], ['waiting', t('state.waiting')], ['closed', t('state.closed')], ['all', t('all')]]} />
        <label class="field">{t('col.type')}<select value={type} onChange={(e) => setSearch({ state, type: e.target.value })}>
          <option value="">{t('all')}</option>{(types.data?.items ?? []).map((x) => <option key={x.code} value={x.code}>{local(x.name)}</option>)}</select></label>
      </div>
      <Panel title={t('nav.requests')} flush>
        <Loaded api={api} lines={8} empty={<Empty title={t('requests.quiet')}>{t('requests.quiet.what')}</Empty>}>{(d) => (
          <Table label={t('nav.requests')} rows={d.items} keyOf={(r) => r.number} href={(r) => `#/requests/${enc(r.number)}`} columns={[
            { key: 'number', label: t('col.number') },
            { key: 'type', label: t('col.type'), show: (r) => local(r.type_name) },
            { key: 'customer', label: t('col.customer'), show: (r) => r.customer_name },
            { key: 'state', label: t('col.state'), show: (r) => <Badge state={r.overdue ? 'overdue' : r.state} /> },
            { key: 'step', label: t('col.step'), show: (r) => t('step.' + r.step, { otherwise: r.step }) },
            { key: 'assigned', label: t('col.assigned'), show: (r) => r.assigned_to ?? t('queue.' + r.queue, { otherwise: r.queue }) },
            { key: 'due', label: t('col.due'), show: (r) => <When at={r.due_at} /> },
          ]} />
        )}</Loaded>
      </Panel>
      {api.data?.next && <div class="actions"><a class="btn" href={'#/requests' + query({ state, type, after: api.data.next })}>{t('more')}</a></div>}
    </>
  );
}
