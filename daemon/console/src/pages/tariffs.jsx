import { date, t } from '../lib/i18n.js';
import { enc } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Badge, Empty, Head, Loaded, Panel, Table } from '../ui.jsx';

export default function Tariffs() {
  const api = useApi('/tariffs');
  return (
    <>
      <Head title={t('nav.tariffs')} lead={t('tariffs.lead')} />
      <Panel title={t('nav.tariffs')} flush>
        <Loaded api={api} lines={6} empty={<Empty title={t('tariffs.none')}>{t('tariffs.none.what')}</Empty>}>{(d) => (
          <Table label={t('nav.tariffs')} rows={d.items} keyOf={(x) => x.code + (x.version ?? '')} href={(x) => `#/tariffs/${enc(x.code)}${x.state === 'active' ? '' : `?version=${x.version}`}`} columns={[
            { key: 'code', label: t('col.code') }, { key: 'name', label: t('col.name') },
            { key: 'commodity', label: t('col.commodity'), show: (x) => t('commodity.' + x.commodity) },
            { key: 'currency', label: t('col.currency') }, { key: 'branch', label: t('col.branch') },
            { key: 'version', label: t('col.version'), num: true, show: (x) => x.version },
            { key: 'valid', label: t('col.from'), show: (x) => (x.from ? date(x.from) : '') },
            { key: 'state', label: t('col.state'), show: (x) => <Badge state={x.state} /> },
          ]} />
        )}</Loaded>
      </Panel>
    </>
  );
}
