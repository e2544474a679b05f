import { useEffect, useRef } from 'preact/hooks';

const typing = (e) => e.target.closest?.('input, textarea, select, [contenteditable]');

// One map of keys for as long as the page is there: { r: f, 'g l': f }.
export function useKeys(map) {
  const state = useRef({ map, first: '', when: 0 });
  state.current.map = map;
  useEffect(() => {
    const s = state.current;
    const f = (e) => {
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || typing(e) || document.querySelector('dialog[open]')) return;
      const pair = Date.now() - s.when < 1200 ? `${s.first} ${e.key}` : '';
      const run = s.map[pair] || s.map[e.key];
      s.first = e.key;
      s.when = Date.now();
      if (run) { e.preventDefault(); run(e); }
    };
    addEventListener('keydown', f);
    return () => removeEventListener('keydown', f);
  }, []);
}

// j and k walk through the rows of the page, Enter opens the one they stand on.
export function walkRows(step) {
  const rows = [...document.querySelectorAll('[data-row]')].filter((r) => r.offsetParent !== null || r.getClientRects().length);
  if (!rows.length) return;
  const at = rows.findIndex((r) => r.classList.contains('on'));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + step))];
  rows[at]?.classList.remove('on');
  next.classList.add('on');
  (next.querySelector('a') || next).focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
}
