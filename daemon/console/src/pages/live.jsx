import { useEffect, useRef, useState } from 'preact/hooks';
import { get, post, query } from '../lib/api.js';
import { date, number, percent, t, time } from '../lib/i18n.js';
import { listen, watchConnection } from '../lib/live.js';
import { enc } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Badge, Bar, Dialog, Empty, Failure, Head, Loaded, Panel, Table, Tile, toast, Waiting, When } from '../ui.jsx';
import { completeness, statusFigures, sweepOf, unreadByCause } from '../lib/model.js';

function Sweep({ data }) {
  const s = sweepOf(data);
  if (!s.on) return <Empty title={t('sweep.off')}>{t('sweep.off.what')}</Empty>;
  if (!s.total) return <Empty title={t('sweep.none')}>{t('sweep.none.what')}</Empty>;
  const share = s.done / s.total;
  return (
    <div class="stack">
      <div>
        <div class="head"><div class="strong">{t(s.run ? 'sweep.run' : 'sweep.progress', { n: s.total, done: number(s.done) })}</div><span class="tab strong">{percent(share)}</span></div>
        <Bar of={share} tone={share > 0.98 ? 'good' : undefined} label={t('sweep.title')} thick />
      </div>
      <ul class="legend tab">
        <li><i class="k4" />{t('sweep.read', { n: s.read })}</li>
        <li><i class="k2" />{t('sweep.failed', { n: s.failing })}</li>
        <li><i class="k1" />{t('sweep.visiting', { n: s.visiting })}</li>
        <li><i class="k6" />{t('sweep.waiting', { n: s.waiting })}</li>
        {s.run && (s.finished ? <li>{t('sweep.finished')} <When at={s.finished} /></li> : s.forecast ? <li>{t('sweep.forecast')} <When at={s.forecast} /></li> : null)}
      </ul>
    </div>
  );
}

function StartSweep({ close, done }) {
  const form = useRef();
  const [error, setError] = useState(null);
  const day = (back) => { const d = new Date(Date.now() - back * 86400e3); return new Date(d - d.getTimezoneOffset() * 60e3).toISOString().slice(0, 10); };
  const save = async (e) => {
    e.preventDefault();
    const f = form.current.elements, utc = (s) => new Date(s + 'T00:00:00').toISOString().replace('.000', '');
    try {
      await post('/sweep', { from: utc(f.from.value), to: utc(f.to.value) });
      toast(t('sweep.started'));
      close();
      done();
    } catch (x) { setError(x); }
  };
  return (
    <Dialog title={t('sweep.start')} close={close}>
      <form class="body" ref={form} onSubmit={save}>
        <p class="soft">{t('sweep.start.what')}</p>
        <div class="cols">
          <label class="field">{t('run.from')}<input name="from" type="date" required defaultValue={day(1)} /></label>
          <label class="field">{t('run.to')}<input name="to" type="date" required defaultValue={day(-1)} /></label>
        </div>
        {error && <Failure error={error} />}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary">{t('sweep.start')}</button></footer>
      </form>
    </Dialog>
  );
}

function EventLog() {
  const [rows, set] = useState([]);
  const [on, setOn] = useState(false);
  useEffect(() => { // what happened just before the page was opened
    get('/events/list?limit=1').then((d) => get('/events/list' + query({ after: Math.max(0, d.last - 8), limit: 8 })))
      .then((d) => set((r) => (r.length ? r : d.items.reverse().map((e) => ({ ...e, n: Math.random() })))), () => {});
  }, []);
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
  const [day, setDay] = useState('');
  const [starting, start] = useState(false);
  const status = useApi('/status'), sweep = useApi('/sweep'), days = useApi('/completeness' + query({ day })), unread = useApi('/unread' + query({ limit: 500 })), jobs = useApi('/jobs');
  const all = () => [status, sweep, days, unread, jobs].forEach((a) => a.reload());
  useLive(['sweep.', 'reading.', 'job.', 'meter.'], all, 10);
  // Yesterday without a value expected: the last day the first meter has is more to the point.
  const first = useApi(days.data && !day && !completeness(days.data).expected ? '/meters?limit=1' : null);
  const meter = useApi(first.data?.items[0] ? `/meters/${enc(first.data.items[0].serial)}` : null);
  useEffect(() => { if (meter.data?.days?.last && !day) setDay(meter.data.days.last); }, [meter.data]);
  const f = statusFigures(status.data);
  const c = completeness(days.data), causes = unreadByCause(unread.data);
  const tone = c.share === undefined ? '' : c.share >= 0.99 ? 'good' : c.share >= 0.95 ? 'warn' : 'bad';
  return (
    <>
      <Head title={t('live.title')} lead={c.day ? t('live.lead', { day: date(c.day) }) : '\u00a0'}>
        <button class="btn primary" onClick={() => start(true)}>{t('sweep.start')}</button>
      </Head>
      {status.error && !status.data && <Failure error={status.error} retry={status.reload} />}
      <div class="tiles">
        <Tile k={t('tile.complete')} v={percent(c.share)} tone={tone} n={c.expected ? t('tile.complete.of', { got: number(c.measured), n: c.expected }) : t('tile.waiting')} />
        <Tile k={t('tile.unread')} v={unread.data ? number(causes.total) : '–'} tone={causes.total ? 'warn' : 'good'} n={t('tile.unread.why', { n: causes.list.length })} href="#/unread" />
        <Tile k={t('tile.rate')} v={number(f.rate, 1)} unit={t('per.second')} n={f.total !== undefined ? t('tile.rate.total', { n: f.total }) : undefined} />
        <Tile k={t('tile.spool')} v={number(f.spool)} n={f.lag !== undefined ? t('tile.spool.lag', { s: number(f.lag, 1) }) : t('tile.spool.what')} tone={f.lag > 60 ? 'warn' : ''} />
        <Tile k={t('tile.health')} v={f.bad ? number(f.bad) : t('health.ok')} tone={f.bad ? 'bad' : 'good'} n={f.bad ? f.badNames : t('tile.health.parts', { n: f.parts })} />
      </div>
      <div class="cols wide-first">
        <div class="stack">
          <Panel title={t('sweep.title')}>{sweep.data ? <Sweep data={sweep.data} /> : sweep.error ? <Failure error={sweep.error} retry={sweep.reload} /> : <Waiting lines={3} />}</Panel>
          <Panel title={t('branches.title')} flush aside={<label class="day"><span class="sr">{t('col.day')}</span><input type="date" value={day || c.day || ''} onChange={(e) => setDay(e.target.value)} /></label>}>
            <Loaded api={days} lines={4}>{() => c.rows.length ? (
              <Table label={t('branches.title')} rows={c.rows} keyOf={(r) => r.branch} href={(r) => `#/meters?branch=${enc(r.branch)}`} columns={[
                { key: 'branch', label: t('col.branch'), show: (r) => r.branch },
                { key: 'bar', label: t('col.complete'), show: (r) => <Bar of={r.share} tone={r.share >= 0.99 ? 'good' : r.share >= 0.95 ? 'warn' : 'bad'} label={r.branch} /> },
                { key: 'share', label: '%', num: true, show: (r) => percent(r.share) },
                { key: 'meters', label: t('col.meters'), num: true, show: (r) => `${number(r.complete)} / ${number(r.meters)}` },
                { key: 'missing', label: t('col.missing'), num: true, show: (r) => number(r.missing) },
                { key: 'estimated', label: t('col.estimated'), num: true, show: (r) => number(r.estimated) },
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
      {starting && <StartSweep close={() => start(false)} done={all} />}
    </>
  );
}
