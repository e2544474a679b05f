import { useEffect, useState } from 'preact/hooks';

// Pages are named by the address after '#': works from any folder the files are served from.
export function parse() {
  const [path, search = ''] = location.hash.slice(1).split('?');
  return { parts: path.split('/').filter(Boolean).map(decodeURIComponent), search: new URLSearchParams(search), path: path || '/' };
}
export function useRoute() {
  const [route, set] = useState(parse);
  useEffect(() => {
    const f = () => set(parse());
    addEventListener('hashchange', f);
    return () => removeEventListener('hashchange', f);
  }, []);
  return route;
}
export const go = (path) => { location.hash = path; };
// Puts filters into the address without a new page in the history.
export function setSearch(params) {
  const { path } = parse();
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v) q.set(k, v);
  const text = q.toString();
  history.replaceState(null, '', '#' + path + (text ? '?' + text : ''));
  dispatchEvent(new HashChangeEvent('hashchange'));
}
export const enc = encodeURIComponent;
