import { useState } from 'preact/hooks';
import { query } from '../lib/api.js';
import { number, t } from '../lib/i18n.js';
import { enc, setSearch } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Empty, Head, Loaded, Panel, Table, When } from '../ui.jsx';

export const COMMODITIES = ['electricity', 'water', 'gas', 'heat'];

export default function Meters({ search }) {
  const q = search.get('q') || '', branch = search.get('branch') || '', state = search.get('state') || '';
  const [text, setText] = useState(q);
  const branches = useApi('/branches');
  const api = useApi('/meters' + query({ q, branch, state, after: search.get('after'), limit: 100 }));
  const filter = (more) => setSearch({ q, branch, state, ...more });
  return (
    <>
      <Head title={t('nav.meters')} lead={t('meters.lead')} />
      <form class="filters" role="search" onSubmit={(e) => { e.preventDefault(); filter({ q: text }); }}>
        <label class="field">{t('meters.find')}<input type="search" value={text} onInput={(e) => setText(e.target.value)} placeholder={t('meters.find.what')} /></label>
        <label class="field">{t('col.branch')}<select value={branch} onChange={(e) => filter({ branch: e.target.value })}>
          <option value="">{t('all')}</option>{(branches.data?.items ?? []).map((b) => <option key={b.code} value={b.code}>{b.name}</option>)}</select></label>
        <label class="field">{t('col.state')}<select value={state} onChange={(e) => filter({ state: e.target.value })}>
          <option value="">{t('all')}</option>{['active', 'stock', 'removed', 'scrapped'].map((s) => <option key={s} value={s}>{t('state.' + s)}</option>)}</select></label>
        <button class="btn" type="submit">{t('find')}</button>
      </form>
      <Panel title={t('nav.meters')} flush aside={api.data?.total !== undefined ? t('meters.count', { n: api.data.total }) : undefined}>
        <Loaded api={api} lines={9} empty={<Empty title={t('meters.none')}>{t('meters.none.what')}</Empty>}>{(d) => (
          <Table label={t('nav.meters')} rows={d.items} keyOf={(m) => m.meter_id} href={(m) => `#/meters/${enc(m.serial)}`} columns={[
            { key: 'serial', label: t('col.serial') },
            { key: 'model', label: t('col.model'), show: (m) => [m.maker, m.model].filter(Boolean).join(' ') },
            { key: 'commodity', label: t('col.commodity'), show: (m) => t('commodity.' + m.commodity) },
            { key: 'protocol', label: t('col.protocol'), show: (m) => m.protocol?.toUpperCase() },
            { key: 'branch', label: t('col.branch') },
            { key: 'last', label: t('col.last'), show: (m) => <When at={m.last_received} /> },
            { key: 'state', label: t('col.state'), show: (m) => <Badge state={m.state} /> },
          ]} />
        )}</Loaded>
      </Panel>
      {api.data?.next && <div class="actions"><a class="btn" href={`#/meters${query({ q, branch, state, after: api.data.next })}`}>{t('more', { n: number(api.data.items.length) })}</a></div>}
    </>
  );
}
