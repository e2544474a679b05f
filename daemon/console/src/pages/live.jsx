import { useEffect, useState } from 'preact/hooks';
import { post } from '../lib/api.js';
import { number, percent, t, time } from '../lib/i18n.js';
import { listen, watchConnection } from '../lib/live.js';
import { enc } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Act, Badge, Bar, Empty, Failure, Head, Loaded, Panel, Table, Tile, Waiting, When } from '../ui.jsx';
import { completeness, statusFigures, sweepOf, unreadByCause } from '../lib/model.js';

function Sweep({ api }) {
  const s = sweepOf(api.data);
  if (!s.total) return <Empty title={t('sweep.none')}>{t('sweep.none.what')}</Empty>;
  const share = s.done / s.total;
  return (
    <div class="stack">
      <div>
        <div class="head"><div class="strong">{t('sweep.progress', { n: s.total, done: number(s.done) })}</div><span class="tab strong">{percent(share)}</span></div>
        <Bar of={share} tone={share > 0.98 ? 'good' : undefined} label={t('sweep.title')} thick />
      </div>
      <ul class="legend tab">
        <li><i class="k4" />{t('sweep.read', { n: s.read })}</li>
        <li><i class="k2" />{t('sweep.failed', { n: s.failed })}</li>
        <li><i class="k6" />{t('sweep.waiting', { n: Math.max(0, s.total - s.done) })}</li>
        {s.rate !== undefined && <li>{t('sweep.rate', { rate: number(s.rate, 1) })}</li>}
      </ul>
    </div>
  );
}

function EventLog() {
  const [rows, set] = useState([]);
  const [on, setOn] = useState(false);
  useEffect(() => listen((e) => set((r) => [{ ...e, at: e.at || new Date().toISOString(), n: Math.random() }, ...r].slice(0, 12))), []);
  useEffect(() => watchConnection(setOn), []);
  return (
    <Panel title={t('live.events')} aside={<Badge tone={on ? 'good' : 'warn'}>{on ? t('live.connected') : t('live.connecting')}</Badge>}>
      {rows.length ? (
        <ol class="timeline" aria-live="off">{rows.map((e) => (
          <li key={e.n}><time dateTime={e.at}>{time(e.at)}</time><span><b>{t('event.' + e.type, { otherwise: e.type })}</b> {e.key && <span class="soft">{e.key}</span>}</span></li>
        ))}</ol>
      ) : <Empty title={t('live.events.none')}>{t('live.events.none.what')}</Empty>}
    </Panel>
  );
}

export default function Live() {
  const status = useApi('/status'), sweep = useApi('/sweep'), days = useApi('/completeness'), unread = useApi('/unread'), jobs = useApi('/jobs');
  const all = () => [status, sweep, days, unread, jobs].forEach((a) => a.reload());
  useLive(['sweep.', 'reading.', 'job.', 'meter.'], all, 10);
  const f = statusFigures(status.data);
  const c = completeness(days.data), causes = unreadByCause(unread.data);
  const tone = c.share === undefined ? '' : c.share >= 0.99 ? 'good' : c.share >= 0.95 ? 'warn' : 'bad';
  return (
    <>
      <Head title={t('live.title')} lead={c.day ? t('live.lead', { day: c.day }) : undefined}>
        <Act class="primary" run={async () => { await post('/sweep'); all(); }} done={t('sweep.started')}>{t('sweep.start')}</Act>
      </Head>
      {status.error && !status.data && <Failure error={status.error} retry={status.reload} />}
      <div class="tiles">
        <Tile k={t('tile.complete')} v={percent(c.share)} tone={tone} n={c.expected ? t('tile.complete.of', { got: number(c.got), n: c.expected }) : t('tile.waiting')} />
        <Tile k={t('tile.unread')} v={unread.data ? number(causes.total) : '–'} tone={causes.total ? 'warn' : 'good'} n={t('tile.unread.why', { n: causes.list.length })} href="#/unread" />
        <Tile k={t('tile.rate')} v={number(f.rate, 1)} unit={t('per.second')} n={f.total !== undefined ? t('tile.rate.total', { n: f.total }) : undefined} />
        <Tile k={t('tile.spool')} v={number(f.spool)} n={f.lag !== undefined ? t('tile.spool.lag', { s: number(f.lag, 1) }) : t('tile.spool.what')} tone={f.lag > 60 ? 'warn' : ''} />
        <Tile k={t('tile.health')} v={f.bad ? number(f.bad) : t('health.ok')} tone={f.bad ? 'bad' : 'good'} n={f.bad ? f.badNames : t('tile.health.parts', { n: f.parts })} />
      </div>
      <div class="cols wide-first">
        <div class="stack">
          <Panel title={t('sweep.title')}>{sweep.data ? <Sweep api={sweep} /> : sweep.error ? <Failure error={sweep.error} retry={sweep.reload} /> : <Waiting lines={3} />}</Panel>
          <Panel title={t('branches.title')} flush aside={c.day}>
            <Loaded api={days} lines={4}>{() => c.rows.length ? (
              <Table label={t('branches.title')} rows={c.rows} keyOf={(r) => r.branch} href={(r) => `#/meters?branch=${enc(r.branch)}`} columns={[
                { key: 'branch', label: t('col.branch'), show: (r) => r.name || r.branch },
                { key: 'bar', label: t('col.complete'), show: (r) => <Bar of={r.share} tone={r.share >= 0.99 ? 'good' : r.share >= 0.95 ? 'warn' : 'bad'} label={r.branch} /> },
                { key: 'share', label: '%', num: true, show: (r) => percent(r.share) },
                { key: 'meters', label: t('col.meters'), num: true, show: (r) => number(r.meters) },
                { key: 'got', label: t('col.values'), num: true, show: (r) => `${number(r.got)} / ${number(r.expected)}` },
              ]} />
            ) : <Empty title={t('branches.none')}>{t('branches.none.what')}</Empty>}</Loaded>
          </Panel>
        </div>
        <div class="stack">
          <Panel title={t('unread.causes')} aside={<a href="#/unread">{t('all')}</a>}>
            <Loaded api={unread} lines={4}>{() => causes.list.length ? (
              <ul class="causes">{causes.list.slice(0, 6).map((x) => (
                <li key={x.cause}><a href={`#/unread?cause=${enc(x.cause)}`}><span>{t('cause.' + x.cause, { otherwise: x.cause })}</span><span class="tab">{number(x.n)}</span>
                  <Bar of={x.n / causes.total} tone="warn" label={x.cause} /></a></li>
              ))}</ul>
            ) : <Empty title={t('unread.none')}>{t('unread.none.what')}</Empty>}</Loaded>
          </Panel>
          <EventLog />
          <Panel title={t('jobs.title')} flush>
            <Loaded api={jobs} lines={3} empty={<Empty title={t('jobs.none')} />}>{(d) => (
              <Table label={t('jobs.title')} rows={d.items.slice(0, 6)} keyOf={(j) => j.job_id} columns={[
                { key: 'type', label: t('col.job'), show: (j) => t('job.' + j.type, { otherwise: j.type }) },
                { key: 'state', label: t('col.state'), show: (j) => <Badge state={j.status} /> },
                { key: 'done', label: t('col.progress'), num: true, show: (j) => j.total ? percent(j.done / j.total, 0) : number(j.done) },
                { key: 'at', label: t('col.when'), show: (j) => <When at={j.ended_at ?? j.started_at ?? j.created_at} /> },
              ]} />
            )}</Loaded>
          </Panel>
        </div>
      </div>
    </>
  );
}
