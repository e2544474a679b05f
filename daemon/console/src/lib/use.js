import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { get } from './api.js';
import { listen } from './live.js';

// Data of one GET. What was there stays on screen while it is fetched again.
export function useApi(path) {
  const [state, set] = useState({ data: null, error: null, loading: !!path });
  const abort = useRef(null);
  const load = useCallback(async () => {
    if (!path) return;
    abort.current?.abort();
    const mine = (abort.current = new AbortController());
    set((s) => ({ ...s, loading: true }));
    try {
      const data = await get(path, { signal: mine.signal });
      set({ data, error: null, loading: false, path });
    } catch (error) {
      if (error.name !== 'AbortError') set((s) => ({ data: s.path === path ? s.data : null, error, loading: false, path }));
    }
  }, [path]);
  useEffect(() => {
    load();
    return () => abort.current?.abort();
  }, [load]);
  return { ...state, reload: load };
}

// Runs f on events of these types (a prefix ends in a dot), and every few seconds besides when asked.
export function useLive(types, f, everySeconds) {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => {
    let timer = 0, waiting = 0;
    const soon = () => { waiting ||= setTimeout(() => { waiting = 0; latest.current(); }, 700); };
    const off = listen((e) => {
      if (types.some((t) => (t.endsWith('.') ? e.type.startsWith(t) : e.type === t))) soon();
    });
    if (everySeconds) timer = setInterval(() => document.visibilityState === 'visible' && latest.current(), everySeconds * 1000);
    return () => { off(); clearInterval(timer); clearTimeout(waiting); };
  }, []);
}
