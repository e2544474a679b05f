import { useRef, useState } from 'preact/hooks';
import { post } from '../lib/api.js';
import { money, number, percent, period, t } from '../lib/i18n.js';
import { useKeys } from '../lib/keys.js';
import { go } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Badge, Dialog, Empty, Failure, Head, Loaded, Panel, Table } from '../ui.jsx';

function NewRun({ close }) {
  const branches = useApi('/branches');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef();
  const now = new Date();
  const first = (m) => new Date(Date.UTC(now.getFullYear(), now.getMonth() + m, 1)).toISOString().slice(0, 10);
  const save = async (e) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    try {
      const r = await post('/runs', Object.fromEntries(new FormData(form.current)));
      close();
      go(`/runs/${r.run}`);
    } catch (x) { setError(x); }
    setBusy(false);
  };
  return (
    <Dialog title={t('run.new')} close={close}>
      <form class="body" ref={form} onSubmit={save}>
        <div class="cols">
          <label class="field">{t('col.branch')}<select name="branch" required>{(branches.data?.items ?? []).map((b) => <option key={b.code} value={b.code}>{b.name}</option>)}</select></label>
          <label class="field">{t('col.cycle')}<input name="cycle" defaultValue="monthly" required /></label>
          <label class="field">{t('run.from')}<input name="from" type="date" required defaultValue={first(-1)} /></label>
          <label class="field">{t('run.to')}<input name="to" type="date" required defaultValue={first(0)} /></label>
        </div>
        {error && <Failure error={error} />}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary" disabled={busy}>{t('run.create')}</button></footer>
      </form>
    </Dialog>
  );
}

export default function Runs() {
  const api = useApi('/runs');
  const [creating, create] = useState(false);
  useLive(['run.', 'job.', 'bill.'], api.reload, 10);
  useKeys({ n: () => create(true) });
  return (
    <>
      <Head title={t('nav.runs')} lead={t('runs.lead')}><button class="btn primary" onClick={() => create(true)}>{t('run.new')} <kbd aria-hidden="true">n</kbd></button></Head>
      <Panel title={t('nav.runs')} flush>
        <Loaded api={api} lines={8} empty={<Empty title={t('runs.none')}>{t('runs.none.what')}</Empty>}>{(d) => (
          <Table label={t('nav.runs')} rows={d.items} keyOf={(r) => r.run} href={(r) => `#/runs/${r.run}`} columns={[
            { key: 'run', label: t('col.run'), show: (r) => t('run.number', { run: r.run }) },
            { key: 'branch', label: t('col.branch') },
            { key: 'period', label: t('col.period.billed'), show: (r) => period(r.from, r.to) },
            { key: 'state', label: t('col.state'), show: (r) => <Badge state={r.state} /> },
            { key: 'done', label: t('col.progress'), num: true, show: (r) => (r.computed || r.state === 'issued' ? number(r.contracts) : `${number(r.done)} / ${number(r.contracts)} (${percent(r.contracts ? r.done / r.contracts : 0, 0)})`) },
            { key: 'bills', label: t('col.bills'), num: true, show: (r) => number(r.bills) },
            { key: 'held', label: t('col.held'), num: true, show: (r) => (r.held ? <span class="warn strong">{number(r.held)}</span> : '0') },
            { key: 'total', label: t('col.total'), num: true, show: (r) => money(r.total, r.currency, r.minor_digits) },
          ]} />
        )}</Loaded>
      </Panel>
      {creating && <NewRun close={() => create(false)} />}
    </>
  );
}
