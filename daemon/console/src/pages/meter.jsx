import { useMemo, useState } from 'preact/hooks';
import { post, query } from '../lib/api.js';
import { date, dateTime, number, quantity, t } from '../lib/i18n.js';
import { useKeys } from '../lib/keys.js';
import { curveOf } from '../lib/model.js';
import { enc } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Act, Badge, Empty, Facts, Failure, Head, Loaded, Panel, Seg, Table, toast, Waiting, When } from '../ui.jsx';
import { Curve } from '../chart.jsx';

const INTERVAL = { electricity: 'energy.import', water: 'water.volume', gas: 'gas.volume', heat: 'heat.energy' };
const DAY = 86400e3;

function LoadCurve({ meter }) {
  const [span, setSpan] = useState(7);
  const [back, setBack] = useState(0);
  // The last day with data is where people want to look; a meter that fell silent shows its last week.
  const days = meter.days?.last ? Date.parse(meter.days.last + 'T23:59:59Z') : 0;
  const last = Math.max(days, ...(meter.registers ?? []).map((r) => Date.parse(r.at) || 0)) || Date.parse(meter.last_received ?? '') || Date.now();
  const end = Math.ceil(last / DAY) * DAY - back * span * DAY;
  const iso = (ms) => new Date(ms).toISOString().replace('.000', '');
  const channel = INTERVAL[meter.commodity];
  const api = useApi(`/meters/${enc(meter.serial)}/curve` + query({ channel, from: iso(end - span * DAY), to: iso(end) }));
  const curve = useMemo(() => curveOf(api.data), [api.data]);
  const series = useMemo(() => [{ label: t('channel.' + channel), values: curve.values, stepped: true }], [curve]);
  const sum = curve.values.reduce((a, v) => a + (v ?? 0), 0);
  const peak = Math.max(0, ...curve.values.map((v) => v ?? 0));
  const text = t('curve.label', { from: date(end - span * DAY), to: date(end), sum: number(sum, 1), unit: curve.unit, peak: number(peak, 3) });
  return (
    <Panel title={t('curve.title')} aside={curve.times.length ? <span class="tab">{t('curve.sum', { sum: number(sum, 1), unit: curve.unit })}</span> : undefined}>
      <div class="head">
        <Seg label={t('curve.span')} value={span} onChange={(s) => { setSpan(s); setBack(0); }} options={[[1, t('span.day')], [7, t('span.week')], [31, t('span.month')]]} />
        <div class="actions">
          <button class="btn" onClick={() => setBack(back + 1)}>{t('earlier')}</button>
          <button class="btn" disabled={!back} onClick={() => setBack(back - 1)}>{t('later')}</button>
        </div>
      </div>
      {api.error ? <Failure error={api.error} retry={api.reload} /> : !api.data ? <div class="chart"><Waiting lines={6} /></div>
        : curve.times.length ? <Curve times={curve.times} series={series} unit={curve.unit} marks={curve.marks} label={text} />
          : <div class="chart empty"><Empty title={t('curve.none')}>{t('curve.none.what')}</Empty></div>}
      <p class="small faint">{curve.times.length ? `${t('curve.local')}${curve.marks.length ? ' ' + t('curve.estimated', { n: curve.marks.length }) : ''}` : '\u00a0'}</p>
      {curve.times.length > 0 && (
        <details><summary>{t('as.table')}</summary>
          <Table label={t('curve.title')} rows={curve.times.slice(0, 400)} keyOf={(s) => s} columns={[
            { key: 'at', label: t('time'), show: (s) => dateTime(s * 1000) },
            { key: 'v', label: curve.unit, num: true, show: (s) => number(curve.values[curve.times.indexOf(s)], 3) },
          ]} />
        </details>
      )}
    </Panel>
  );
}

const outcome = (r) => (r.read ? t('read.done', { n: r.values, s: number(r.duration_ms / 1000, 1) })
  : `${t('cause.' + r.cause, { otherwise: r.text })}${r.detail ? `: ${r.detail}` : ''}`);

function ReadNow({ serial, reload }) {
  const [result, set] = useState(null);
  const read = async () => {
    set({ busy: true });
    try {
      const r = await post(`/meters/${enc(serial)}/read`);
      set(r);
      reload();
      toast(outcome(r), !r.read);
    } catch (e) {
      set(null);
      throw e;
    }
  };
  useKeys({ r: () => !result?.busy && read().catch((e) => toast(e.message, true)) });
  return <>{result && <span class={`small ${result.read ? 'good' : 'soft'}`} role="status">{result.busy ? t('read.asked') : outcome(result)}</span>}
    <Act class="primary" run={read} disabled={result?.busy || undefined}>{t('read.now')} <kbd aria-hidden="true">r</kbd></Act></>;
}

export default function Meter({ id }) {
  const api = useApi(`/meters/${enc(id)}`);
  useLive(['reading.', 'meter.'], api.reload);
  const m = api.data;
  const registers = m?.registers ?? [], events = m?.events ?? [];
  const where = useApi(`/meters/${enc(id)}/installations`);
  const installations = where.data?.items ?? [];
  return (
    <>
      <Head title={m?.serial ?? id} crumbs={[[t('nav.meters'), '#/meters']]} lead={m && [m.maker, m.model, t('commodity.' + m.commodity)].filter(Boolean).join(' · ')}>
        {m && <ReadNow serial={m.serial} reload={api.reload} />}
      </Head>
      <Loaded api={api} lines={8}>{() => (
        <div class="cols wide-first">
          <div class="stack">
            <LoadCurve meter={m} />
            <Panel title={t('events.title')} flush>
              {events.length ? <Table label={t('events.title')} rows={events.slice(0, 30)} columns={[
                { key: 'at', label: t('time'), show: (e) => dateTime(e.at) },
                { key: 'text', label: t('col.event'), show: (e) => e.text || e.name || t('event.code', { code: e.code }) },
              ]} /> : <Empty title={t('events.none')} />}
            </Panel>
          </div>
          <div class="stack">
            <Panel title={t('meter.facts')}>
              <Facts rows={[
                [t('col.state'), <Badge state={m.state} />],
                [t('col.last'), <When at={m.last_received} />],
                [t('col.protocol'), m.protocol?.toUpperCase()], [t('col.identity'), <code>{m.identity}</code>],
                [t('col.address'), m.address && typeof m.address === 'object' ? <code>{[m.address.host, m.address.port].filter(Boolean).join(':') || m.address.topic || m.address.path}</code> : undefined],
                [t('col.period'), m.period_s && t('minutes', { n: m.period_s / 60 })], [t('col.branch'), m.branch],
              ]} />
            </Panel>
            <Panel title={t('registers.title')} flush>
              {registers.length ? <Table label={t('registers.title')} rows={registers} keyOf={(r) => r.channel} columns={[
                { key: 'channel', label: t('col.register'), show: (r) => t('channel.' + r.channel, { otherwise: r.name ?? r.channel }) },
                { key: 'value', label: t('col.value'), num: true, show: (r) => quantity(r.value, r.unit, r.scaler, 3) },
                { key: 'at', label: t('col.when'), show: (r) => <When at={r.at} /> },
              ]} /> : <Empty title={t('registers.none')} />}
            </Panel>
            <Panel title={t('installations.title')} flush>
              {installations.length ? <Table label={t('installations.title')} rows={installations} columns={[
                { key: 'service_point', label: t('col.point'), show: (i) => i.service_point },
                { key: 'address', label: t('col.address'), show: (i) => i.customer ? <a href={`#/customers/${i.customer}`}>{i.address || i.customer_name}</a> : i.address },
                { key: 'from', label: t('col.from'), show: (i) => date(i.from) },
                { key: 'to', label: t('col.to'), show: (i) => (i.to ? date(i.to) : t('now')) },
              ]} /> : <Empty title={t('installations.none')} />}
            </Panel>
          </div>
        </div>
      )}</Loaded>
    </>
  );
}
