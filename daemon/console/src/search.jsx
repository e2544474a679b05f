import { useEffect, useRef, useState } from 'preact/hooks';
import { get, query } from './lib/api.js';
import { number, phone, t } from './lib/i18n.js';
import { enc, go } from './lib/router.js';
import { Dialog, Failure, Icon } from './ui.jsx';

export function hrefOf(hit) {
  if (hit.kind === 'meter') return `#/meters/${enc(hit.ref)}`;
  if (hit.kind === 'invoice') return `#/bills/${enc(hit.bill ?? hit.ref)}`;
  return hit.customer ? `#/customers/${enc(hit.customer)}` : null;
}

// Results for what is typed, a moment after the last key; older answers never replace newer ones.
export function useSearch(q) {
  const [state, set] = useState({ items: [], for: '' });
  useEffect(() => {
    const text = q.trim();
    if (text.length < 2) { set({ items: [], for: text }); return undefined; }
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const began = performance.now();
      try {
        const r = await get('/search' + query({ q: text, limit: 20 }), { signal: abort.signal });
        set({ items: r.items, for: text, ms: performance.now() - began });
      } catch (error) {
        if (error.name !== 'AbortError') set({ items: [], error, for: text });
      }
    }, 120);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [q]);
  return { ...state, pending: q.trim().length >= 2 && state.for !== q.trim() };
}

export const Hit = ({ hit, selected, id, onPick }) => (
  <a class="hit" role="option" id={id} tabIndex={-1} aria-selected={selected ? 'true' : 'false'} href={hrefOf(hit) || undefined} onClick={onPick}>
    <Icon name={hit.kind} />
    <span class="t">{hit.title}</span>
    <span class="d">{hit.kind === 'customer'
      ? [phone(hit.phone), ...(hit.accounts || []).slice(0, 2), hit.address].filter(Boolean).join(' · ')
      : [hit.customer_name ?? t('search.nobody'), hit.kind !== 'address' && hit.address].filter(Boolean).join(' · ')}</span>
    <span class="r">{t('kind.' + hit.kind)}</span>
  </a>
);

export function Palette({ close }) {
  const [q, setQ] = useState('');
  const [at, setAt] = useState(0);
  const found = useSearch(q);
  const list = useRef();
  useEffect(() => setAt(0), [found.for]);
  useEffect(() => list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }), [at]);
  // Enter right after the last digit waits for the answer that belongs to it.
  const wanted = useRef(false);
  const open = (hit) => {
    const href = hit && hrefOf(hit);
    if (href) { close(); go(href.slice(1)); }
  };
  useEffect(() => {
    if (wanted.current && !found.pending) { wanted.current = false; open(found.items[0]); }
  }, [found.pending, found.for]);
  const key = (e) => {
    if (e.key === 'ArrowDown') setAt((i) => Math.min(found.items.length - 1, i + 1));
    else if (e.key === 'ArrowUp') setAt((i) => Math.max(0, i - 1));
    else if (e.key === 'Enter') { if (found.pending) wanted.current = true; else open(found.items[at]); }
    else return;
    e.preventDefault();
  };
  return (
    <Dialog title={t('search.label')} close={close} class="palette">
      <div class="box">
        <Icon name="search" />
        <input autofocus type="search" value={q} onInput={(e) => setQ(e.target.value)} onKeyDown={key} placeholder={t('search.placeholder')}
          aria-label={t('search.label')} role="combobox" aria-expanded="true" aria-controls="hits" aria-autocomplete="list"
          aria-activedescendant={found.items.length ? 'hit-' + at : undefined} spellcheck={false} autocomplete="off" />
        <button type="button" class="btn quiet icon" onClick={close} aria-label={t('close')}><Icon name="close" /></button>
      </div>
      <div class="results" ref={list}>
        {found.error && <Failure error={found.error} />}
        <div role="listbox" id="hits" aria-label={t('search.results')} aria-busy={found.pending}>
          {found.items.map((h, i) => <Hit key={h.kind + h.ref} id={'hit-' + i} hit={h} selected={i === at} onPick={() => close()} />)}
        </div>
        {!found.items.length && !found.error && (
          <div class="empty">{q.trim().length < 2 ? <><strong>{t('search.begin')}</strong><p>{t('search.begin.what')}</p></>
            : found.pending ? <p>{t('loading')}</p> : <><strong>{t('search.none', { q })}</strong><p>{t('search.none.what')}</p></>}</div>
        )}
      </div>
      <div class="hint" role="status">
        <span><kbd>↑</kbd> <kbd>↓</kbd> {t('help.move')}</span><span><kbd>Enter</kbd> {t('help.open')}</span>
        {found.items.length > 0 && <span class="tab">{t('search.count', { n: found.items.length })}{found.ms ? ` · ${number(found.ms)} ms` : ''}</span>}
      </div>
    </Dialog>
  );
}
