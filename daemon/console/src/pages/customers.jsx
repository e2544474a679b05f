import { useEffect, useRef, useState } from 'preact/hooks';
import { post, query } from '../lib/api.js';
import { phone, t } from '../lib/i18n.js';
import { useKeys, walkRows } from '../lib/keys.js';
import { enc, go, setSearch } from '../lib/router.js';
import { useApi } from '../lib/use.js';
import { Dialog, Empty, Failure, Head, Loaded, Panel, Table } from '../ui.jsx';
import { Hit, hrefOf, useSearch } from '../search.jsx';

function NewCustomer({ close }) {
  const branches = useApi('/branches');
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef();
  const save = async (force) => {
    if (busy) return;
    setBusy(true);
    const f = new FormData(form.current), body = {};
    for (const [k, v] of f) if (v) body[k] = v;
    if (force) body.force = true;
    try {
      const r = await post('/customers', body);
      close();
      go(`/customers/${r.customer}`);
    } catch (e) { setError(e); }
    setBusy(false);
  };
  const match = error?.code === 'possible_duplicate' || error?.code === 'same_tax_id' ? /\d+/.exec(error.message)?.[0] : null;
  return (
    <Dialog title={t('customer.new')} close={close}>
      <form class="body" ref={form} onSubmit={(e) => { e.preventDefault(); save(); }}>
        <label class="field">{t('col.name')}<input name="name" required maxLength={200} autocomplete="off" /></label>
        <div class="cols">
          <label class="field">{t('col.phone')}<input name="phone" type="tel" maxLength={40} autocomplete="off" /></label>
          <label class="field">{t('col.tax')}<input name="tax_id" maxLength={40} autocomplete="off" /></label>
          <label class="field">{t('col.email')}<input name="email" type="email" autocomplete="off" /></label>
          <label class="field">{t('col.kind')}<select name="kind"><option value="person">{t('kind.person')}</option><option value="company">{t('kind.company')}</option></select></label>
          <label class="field">{t('col.branch')}<select name="branch" required>{(branches.data?.items ?? []).map((b) => <option key={b.code} value={b.code}>{b.name}</option>)}</select></label>
        </div>
        {error && <Failure error={error} />}
        {match && <div class="actions"><a class="btn" href={`#/customers/${match}`} onClick={close}>{t('customer.open.match')}</a>
          {error.code === 'possible_duplicate' && <button type="button" class="btn" onClick={() => save(true)}>{t('customer.create.anyway')}</button>}</div>}
        <footer><button type="button" class="btn" onClick={close}>{t('cancel')}</button><button class="btn primary" disabled={busy}>{t('customer.create')}</button></footer>
      </form>
    </Dialog>
  );
}

export default function Customers({ search }) {
  const [q, setQ] = useState(search.get('q') || '');
  const [creating, create] = useState(false);
  const found = useSearch(q);
  const box = useRef();
  const api = useApi(q.trim().length < 2 ? '/customers' + query({ cursor: search.get('after'), limit: 50 }) : null);
  useEffect(() => { if (!('ontouchstart' in window)) box.current.focus(); }, []);
  useKeys({ n: () => create(true) });
  const enter = (e) => {
    e.preventDefault();
    setSearch({ q });
    const href = found.items[0] && hrefOf(found.items[0]);
    if (href) go(href.slice(1));
  };
  return (
    <>
      <Head title={t('nav.customers')} lead={t('customers.lead')}><button class="btn" onClick={() => create(true)}>{t('customer.new')} <kbd aria-hidden="true">n</kbd></button></Head>
      <form role="search" onSubmit={enter}>
        <label class="field">{t('search.label')}
          <input ref={box} type="search" value={q} onInput={(e) => setQ(e.target.value)} onKeyDown={(e) => { if (e.key === 'ArrowDown') { e.preventDefault(); walkRows(1); } }}
            placeholder={t('search.placeholder')} spellcheck={false} autocomplete="off" /></label>
      </form>
      {q.trim().length >= 2 ? (
        <Panel title={t('search.results')} aside={found.pending ? t('loading') : t('search.count', { n: found.items.length })}>
          {found.error && <Failure error={found.error} />}
          {found.items.length > 0 && <div role="listbox" aria-label={t('search.results')}>{found.items.map((h, i) => <Hit key={h.kind + h.ref} id={'c-' + i} hit={h} selected={i === 0} />)}</div>}
          {!found.items.length && !found.error && <Empty title={found.pending ? t('loading') : t('search.none', { q })}>{!found.pending && t('search.none.what')}</Empty>}
        </Panel>
      ) : (
        <Panel title={t('customers.all')} flush>
          <Loaded api={api} lines={9} empty={<Empty title={t('customers.none')}>{t('customers.none.what')}</Empty>}>{(d) => (
            <Table label={t('customers.all')} rows={d.items} keyOf={(c) => c.customer} href={(c) => `#/customers/${c.customer}`} columns={[
              { key: 'name', label: t('col.name') },
              { key: 'phone', label: t('col.phone'), show: (c) => c.phone && <span class="tab">{phone(c.phone)}</span> },
              { key: 'accounts', label: t('col.account'), show: (c) => <span class="tab">{(c.accounts || []).join(', ')}</span> },
              { key: 'address', label: t('col.address') },
              { key: 'branch', label: t('col.branch') },
            ]} />
          )}</Loaded>
        </Panel>
      )}
      {q.trim().length < 2 && api.data?.next && <div class="actions"><a class="btn" href={`#/customers?after=${enc(api.data.next)}`}>{t('more')}</a></div>}
      {creating && <NewCustomer close={() => create(false)} />}
    </>
  );
}
