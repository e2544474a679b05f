import { useRef, useState } from 'preact/hooks';
import { post } from '../lib/api.js';
import { dateTime, local, phone, t } from '../lib/i18n.js';
import { enc } from '../lib/router.js';
import { useApi, useLive } from '../lib/use.js';
import { Act, Badge, Dialog, Facts, Failure, Head, Loaded, Panel, When } from '../ui.jsx';

function Field({ f }) {
  const name = 'form.' + f.name, label = local(f.label) || f.name;
  return (
    <label class="field">{label}{f.type === 'choice'
      ? <select name={name} required={f.required}><option value="" />{f.choices.map((c) => <option key={c} value={c}>{t('choice.' + c, { otherwise: c })}</option>)}</select>
      : <input name={name} required={f.required} type={f.type === 'date' ? 'date' : 'text'} inputMode={f.type === 'number' ? 'decimal' : undefined} />}</label>
  );
}

export function NewRequest({ customer, close, done }) {
  const types = useApi('/request-types');
  const [code, setCode] = useState('');
  const [error, setError] = useState(null);
  const form = useRef();
  const type = types.data?.items.find((x) => x.code === code) ?? types.data?.items[0];
  const save = async (force) => {
    const body = { customer: String(customer.customer), type: type.code, channel: 'callcentre', form: {} };
    for (const [k, v] of new FormData(form.current)) {
      if (k === 'text') body.text = v;
      else if (k.startsWith('form.') && v) body.form[k.slice(5)] = v;
    }
    if (force) body.force = true;
    try {
      const r = await post('/requests', body);
      close();
      done(r);
    } catch (x) { setError(x); }
  };
  const same = error?.code === 'same_request' ? /Request (\S+)/.exec(error.message)?.[1] : null;
  return (
    <Dialog title={t('request.new')} close={close}>
      <form class="body" ref={form} onSubmit={(e) => { e.preventDefault(); save(); }}>
        <label class="field">{t('col.type')}<select value={type?.code} onChange={(e) => { setCode(e.target.value); setError(null); }} autofocus>
          {(types.data?.items ?? []).map((x) => <option key={x.code} value={x.code}>{local(x.name)}</option>)}</select></label>
        {type && <div class="cols">{type.form.map((f) => <Field key={type.code + f.name} f={f} />)}</div>}
        <label class="field">{t('request.text')}<textarea name="text" required maxLength={8000} /></label>
        {error && <Failure error={error} />}
        {same && <div class="actions"><a class="btn" href={`#/requests/${enc(same)}`} onClick={close}>{t('request.open.same', { number: same })}</a>
          <button type="button" class="btn" onClick={() => save(true)}>{t('request.create.anyway')}</button></div>}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary">{t('request.create')}</button></footer>
      </form>
    </Dialog>
  );
}

function Answer({ r, reload }) {
  const form = useRef();
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const send = async (e) => {
    e.preventDefault();
    if (busy) return;
    const f = new FormData(form.current), body = { text: f.get('text'), channel: 'callcentre' };
    if (f.get('internal')) body.internal = true;
    if (f.get('step') !== r.step) body.step = f.get('step');
    if (f.get('state') !== r.state) body.state = f.get('state');
    setBusy(true);
    try {
      await post(`/requests/${enc(r.number)}/reply`, body);
      setError(null);
      form.current.reset();
      reload();
    } catch (x) { setError(x); }
    setBusy(false);
  };
  return (
    <form class="stack" ref={form} onSubmit={send}>
      <label class="field">{t('request.reply')}<textarea name="text" required maxLength={8000} /></label>
      <div class="filters">
        <label class="field">{t('col.step')}<select name="step" key={r.step}>{r.steps.map((s) => <option key={s} value={s} selected={s === r.step}>{t('step.' + s, { otherwise: s })}</option>)}</select></label>
        <label class="field">{t('col.state')}<select name="state" key={r.state}>{['open', 'waiting'].map((s) => <option key={s} value={s} selected={s === r.state}>{t('state.' + s)}</option>)}</select></label>
        <label class="check"><input type="checkbox" name="internal" />{t('request.internal')}</label>
        <button class="btn primary" disabled={busy}>{t('request.send')}</button>
      </div>
      {error && <Failure error={error} />}
    </form>
  );
}

export default function Request({ id, me }) {
  const api = useApi(`/requests/${enc(id)}`);
  useLive(['request.'], api.reload, 20);
  const r = api.data;
  const login = me.user;
  const act = (verb, body) => async () => { await post(`/requests/${enc(id)}/${verb}`, body); api.reload(); };
  return (
    <>
      <Head title={r ? local(r.type_name) : id} crumbs={[[t('nav.requests'), '#/requests']]} lead={r && <span class="tab">{r.number}</span>}>
        {r && r.state !== 'closed' && <>
          {r.assigned_to !== login && <Act run={act('assign', { to: login })} done={t('request.taken')}>{t('request.take')}</Act>}
          <Act run={act('close', { outcome: 'done' })} done={t('request.closed')}>{t('request.close')}</Act></>}
        {r?.state === 'closed' && <Act run={act('reopen', { text: t('request.reopened') })}>{t('request.reopen')}</Act>}
      </Head>
      <Loaded api={api} lines={8}>{() => (
        <>
          <ol class="steps" aria-label={t('col.step')}>{r.steps.map((s, i) => (
            <li key={s} class={s === r.step && r.state !== 'closed' ? 'now' : i <= r.steps.indexOf(r.step) ? 'done' : ''} aria-current={s === r.step ? 'step' : undefined}>{t('step.' + s, { otherwise: s })}</li>
          ))}</ol>
          <div class="cols wide-first">
            <Panel title={t('request.thread')}>
              <div class="stack">
                <ol class="thread">{r.thread.map((m, i) => (m.kind === 'change'
                  ? <li key={i} class="change"><span>{m.actor} · {m.text} · <When at={m.at} /></span></li>
                  : <li key={i} class={m.kind}><div class="meta"><b>{m.actor}</b><span>{t('channelof.' + m.channel, { otherwise: m.channel })}</span>{m.kind === 'note' && <span>{t('request.internal')}</span>}<When at={m.at} /></div><div class="say">{m.text}</div></li>
                ))}</ol>
                {r.state !== 'closed' && <Answer r={r} reload={api.reload} />}
              </div>
            </Panel>
            <Panel title={t('request.facts')}>
              <Facts rows={[[t('col.state'), <Badge state={r.overdue ? 'overdue' : r.state} />], [t('col.customer'), <a href={`#/customers/${r.customer}`}>{r.customer_name}</a>],
                [t('col.phone'), r.phone && <a href={`tel:${phone(r.phone)}`} class="tab">{phone(r.phone)}</a>], [t('col.account'), r.account], [t('col.point'), r.service_point],
                ...r.form_fields.map((f) => [local(f.label), r.form[f.name] && t('choice.' + r.form[f.name], { otherwise: r.form[f.name] })]),
                [t('col.assigned'), r.assigned_to ?? t('queue.' + r.queue, { otherwise: r.queue })], [t('col.opened'), `${dateTime(r.opened_at)} · ${r.opened_by}`],
                [t('col.due'), r.state === 'waiting' ? t('request.paused') : dateTime(r.due_at)], [t('col.closed'), r.closed_at && dateTime(r.closed_at)], [t('col.outcome'), r.outcome && t('outcome.' + r.outcome, { otherwise: r.outcome })]]} />
            </Panel>
          </div>
        </>
      )}</Loaded>
    </>
  );
}
