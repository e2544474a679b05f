import { post, query } from '../lib/api.js';
import { dateTime, money, number, percent, period, t } from '../lib/i18n.js';
import { setSearch } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Act, Badge, Bar, Empty, Facts, Head, Loaded, Panel, Seg, Table, Tile } from '../ui.jsx';

const exception = (code) => t('exception.' + code, { otherwise: code });

export default function Run({ id, search, me }) {
  const state = search.get('state') || '', code = search.get('exception') || '';
  const api = useApi(`/runs/${id}`);
  const bills = useApi('/bills' + query({ run: id, state, exception: code, before: search.get('before'), limit: 50 }));
  const all = () => { api.reload(); bills.reload(); };
  useLive(['run.', 'job.', 'bill.'], all, api.data?.state === 'issued' ? 0 : 5);
  const r = api.data;
  const computing = r && r.state === 'draft' && !r.computed_at;
  const act = (verb) => async () => { await post(`/runs/${id}/${verb}`); all(); };
  return (
    <>
      <Head title={t('run.number', { run: id })} crumbs={[[t('nav.runs'), '#/runs']]} lead={r && `${r.branch} · ${period(r.from, r.to)}`}>
        {r?.state === 'draft' && <Act class="primary" run={act('approve')} done={t('run.approved')} disabled={computing || undefined}>{t('run.approve')}</Act>}
        {r?.state === 'approved' && <Act class="primary" run={act('issue')} done={t('run.issuing')} confirm={t('run.issue.sure', { n: r.bills, total: money(r.total, r.currency, r.minor_digits) })}>{t('run.issue')}</Act>}
        {(r?.state === 'draft' || (r?.state === 'approved' && !r.issue_job)) && <Act run={act('cancel')} done={t('run.cancelled')} confirm={t('run.cancel.sure')}>{t('run.cancel')}</Act>}
      </Head>
      <Loaded api={api} lines={6}>{() => (
        <>
          <ol class="steps" aria-label={t('run.stages')}>
            {[['computing', !!r.computed_at, computing], ['check', r.state !== 'draft', r.state === 'draft' && !computing], ['approved', r.state === 'issued', r.state === 'approved'], ['issued', r.state === 'issued', false]].map(([s, done, now]) => (
              <li key={s} class={now ? 'now' : done ? 'done' : ''} aria-current={now ? 'step' : undefined}>{t('stage.' + s)}</li>))}
            {r.state === 'cancelled' && <li class="now" aria-current="step">{t('state.cancelled')}</li>}
          </ol>
          {computing && <Bar of={r.contracts ? r.done / r.contracts : 0} label={t('stage.computing')} thick />}
          {r.state === 'draft' && r.created_by === me.user && !computing && <p class="notice">{t('run.foureyes')}</p>}
          <div class="tiles">
            <Tile k={t('col.total')} v={money(r.total, r.currency, r.minor_digits)} n={t('run.tax', { tax: money(r.tax, r.currency, r.minor_digits) })} />
            <Tile k={t('col.bills')} v={number(r.bills)} n={t('run.of', { n: r.contracts })} bar={r.contracts ? (r.bills + r.held) / r.contracts : 0} tone="" />
            <Tile k={t('col.held')} v={number(r.held)} tone={r.held ? 'warn' : 'good'} n={r.held ? t('run.held.what') : t('run.held.none')} />
            {(r.quantities ?? []).slice(0, 2).map((q) => <Tile key={q.unit} k={t('col.quantity')} v={number(q.quantity, 0)} unit={q.unit} n={r.bills ? t('run.mean', { mean: number(q.quantity / r.bills, 1), unit: q.unit }) : undefined} />)}
          </div>
          <div class="cols wide-first">
            <Panel title={t('nav.bills')} flush aside={<Seg label={t('col.state')} value={state} onChange={(s) => setSearch({ state: s, exception: code })} options={[['', t('all')], ['draft', t('state.draft')], ['held', t('state.held')], ['issued', t('state.issued')]]} />}>
              <Loaded api={bills} lines={8} empty={<Empty title={t('bills.none')}>{computing ? t('run.wait') : t('run.nobills')}</Empty>}>{(d) => (
                <Table label={t('nav.bills')} rows={d.items} keyOf={(b) => b.bill} href={(b) => `#/bills/${b.bill}`} columns={[
                  { key: 'party', label: t('col.customer') },
                  { key: 'contract', label: t('col.contract'), show: (b) => <span class="tab">{b.contract}</span> },
                  { key: 'quantity', label: t('col.quantity'), num: true, show: (b) => (b.quantity !== null ? `${number(b.quantity, 1)} ${b.unit}` : '') },
                  { key: 'total', label: t('col.total'), num: true, show: (b) => money(b.total, b.currency, r.minor_digits) },
                  { key: 'state', label: t('col.state'), show: (b) => <Badge state={b.state} /> },
                  { key: 'exceptions', label: t('col.why'), show: (b) => b.exceptions.map((e) => exception(e.code)).join(', ') },
                ]} />
              )}</Loaded>
            </Panel>
            <div class="stack">
              <Panel title={t('run.exceptions')}>
                {r.exceptions?.length ? (
                  <ul class="causes">{r.exceptions.map((e) => (
                    <li key={e.code}><a href={`#/runs/${id}?exception=${e.code}`}><span>{exception(e.code)}</span><span class="tab">{number(e.count)} · {money(e.total, r.currency, r.minor_digits)}</span>
                      <Bar of={r.held ? e.count / Math.max(r.held, e.count) : 0} tone="warn" label={exception(e.code)} /></a></li>))}</ul>
                ) : <Empty title={t('run.held.none')} />}
                {code && <p class="actions"><a class="btn" href={`#/runs/${id}`}>{t('filter.clear')}</a></p>}
              </Panel>
              <Panel title={t('run.changes')} flush>
                {r.changes?.length ? <Table label={t('run.changes')} rows={r.changes.slice(0, 8)} keyOf={(x) => x.bill} href={(x) => `#/bills/${x.bill}`} columns={[
                  { key: 'bill', label: t('col.bill') },
                  { key: 'change', label: t('col.change'), num: true, show: (x) => `${x.change > 0 ? '+' : ''}${money(x.change, r.currency, r.minor_digits)}` },
                  { key: 'rel', label: '%', num: true, show: (x) => (x.previous ? percent(x.change / x.previous, 0) : '') },
                ]} /> : <Empty title={t('run.changes.none')} />}
              </Panel>
              <Panel title={t('run.facts')}><Facts rows={[[t('col.state'), <Badge state={r.state} />], [t('col.cycle'), t('cycle.' + r.cycle, { otherwise: r.cycle })], [t('run.by'), `${r.created_by} · ${dateTime(r.created_at)}`],
                [t('run.approvedby'), r.approved_by && `${r.approved_by} · ${dateTime(r.approved_at)}`], [t('run.issuedat'), r.issued_at && dateTime(r.issued_at)], [t('run.skipped'), r.skipped ? number(r.skipped) : undefined]]} /></Panel>
            </div>
          </div>
        </>
      )}</Loaded>
    </>
  );
}
