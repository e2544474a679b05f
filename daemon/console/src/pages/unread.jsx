import { query } from '../lib/api.js';
import { number, t } from '../lib/i18n.js';
import { unreadByCause } from '../lib/model.js';
import { enc, setSearch } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Empty, Head, Loaded, Panel, Table, When } from '../ui.jsx';

export default function Unread({ search }) {
  const cause = search.get('cause') || '';
  const api = useApi('/unread' + query({ limit: 500 }));
  useLive(['sweep.', 'meter.'], api.reload, 20);
  const causes = unreadByCause(api.data);
  return (
    <>
      <Head title={t('nav.unread')} lead={api.data ? t('unread.lead', { n: causes.total }) : undefined} />
      {causes.list.length > 0 && (
        <div class="filters"><label class="field">{t('unread.cause')}<select value={cause} onChange={(e) => setSearch({ cause: e.target.value })}>
          <option value="">{t('all')} ({number(causes.total)})</option>
          {causes.list.map((c) => <option key={c.cause} value={c.cause}>{t('cause.' + c.cause, { otherwise: c.cause })} ({number(c.n)})</option>)}
        </select></label></div>
      )}
      <Panel title={t('unread.meters')} flush>
        <Loaded api={api} lines={8} empty={<Empty title={t('unread.none')}>{t('unread.none.what')}</Empty>}>{(d) => (
          <Table label={t('unread.meters')} rows={d.items.filter((m) => !cause || m.cause === cause)} keyOf={(m) => m.meter ?? m.serial} href={(m) => `#/meters/${enc(m.serial ?? m.meter)}`} columns={[
            { key: 'serial', label: t('col.serial') },
            { key: 'cause', label: t('unread.cause'), show: (m) => <span class="strong">{t('cause.' + m.cause, { otherwise: m.cause })}</span> },
            { key: 'evidence', label: t('unread.evidence'), show: (m) => m.detail || m.text },
            { key: 'next', label: t('unread.next'), show: (m) => t('next.' + m.cause, { otherwise: t('next.other') }) },
            { key: 'failures', label: t('col.failures'), num: true, show: (m) => number(m.failures) },
            { key: 'last', label: t('col.lastread'), show: (m) => <When at={m.last_read} /> },
            { key: 'again', label: t('col.nexttry'), show: (m) => <When at={m.next_try} /> },
          ]} />
        )}</Loaded>
      </Panel>
    </>
  );
}
