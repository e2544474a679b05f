import { render } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { get, post, whenLoggedOut } from './lib/api.js';
import { language, setLanguage, t } from './lib/i18n.js';
import { useKeys, walkRows } from './lib/keys.js';
import { hangUp } from './lib/live.js';
import { go, useRoute } from './lib/router.js';
import { Dialog, Empty, Failure, Icon, Toasts, Waiting } from './ui.jsx';
import { Login } from './login.jsx';
import { Palette } from './search.jsx';

// First part of the address -> [page of a list, page of one thing].
const pages = {
  '': [() => import('./pages/live.jsx')],
  meters: [() => import('./pages/meters.jsx'), () => import('./pages/meter.jsx')],
  unread: [() => import('./pages/unread.jsx')],
  runs: [() => import('./pages/runs.jsx'), () => import('./pages/run.jsx')],
  bills: [() => import('./pages/bills.jsx'), () => import('./pages/bill.jsx')],
  customers: [() => import('./pages/customers.jsx'), () => import('./pages/customer.jsx')],
  requests: [() => import('./pages/requests.jsx'), () => import('./pages/request.jsx')],
  tariffs: [() => import('./pages/tariffs.jsx'), () => import('./pages/tariff.jsx')],
  ledger: [() => import('./pages/ledger.jsx')],
};
const menu = [
  ['nav.operations', [['', 'live', 'l'], ['meters', 'meter', 'm'], ['unread', 'unread', 'u']]],
  ['nav.customers', [['customers', 'person', 'c'], ['requests', 'request', 'r']]],
  ['nav.billing', [['runs', 'run', 'b'], ['bills', 'invoice', 'i'], ['tariffs', 'tariff', 't'], ['ledger', 'ledger', 'a']]],
];

function Page({ route, me }) {
  const [state, set] = useState({});
  const [name = '', id] = route.parts;
  const load = pages[name]?.[id === undefined ? 0 : 1];
  useEffect(() => {
    let gone = false;
    if (!load) return undefined;
    load().then((m) => !gone && set({ load, view: m.default }), (error) => !gone && set({ load, error }));
    return () => { gone = true; };
  }, [load]);
  if (!load) return <Empty title={t('error.nopage')}><a href="#/">{t('nav.')}</a></Empty>;
  if (state.load !== load) return <Waiting lines={8} />;
  if (state.error) return <Failure error={{ message: t('error.page'), code: 'page' }} retry={() => location.reload()} />;
  const View = state.view;
  return <View key={name + '/' + (id ?? '')} id={id} rest={route.parts.slice(2)} search={route.search} me={me} />;
}

function Nav({ here }) {
  return menu.map(([head, items]) => (
    <nav key={head} aria-label={t(head)}>
      <h2>{t(head)}</h2>
      <ul>{items.map(([name, icon]) => (
        <li key={name}><a href={'#/' + name} aria-current={here === name ? 'page' : undefined}><Icon name={icon} />{t('nav.' + name)}</a></li>
      ))}</ul>
    </nav>
  ));
}

function Help({ close }) {
  const rows = [['/', 'help.search'], ['Ctrl K', 'help.search'], ['j', 'help.down'], ['k', 'help.up'], ['Enter', 'help.open'], ['r', 'help.read'],
    ['n', 'help.new'], ...menu.flatMap(([, items]) => items.map(([name, , key]) => [`g ${key}`, 'nav.' + name])), ['d', 'help.theme'], ['?', 'help.keys'], ['Esc', 'help.close']];
  return (
    <Dialog title={t('help.title')} close={close}>
      <div class="body"><dl class="facts keys">{rows.map(([k, text]) => (
        <><dt>{k.split(' ').map((x, i) => <>{i > 0 && ' '}<kbd>{x}</kbd></>)}</dt><dd>{t(text)}</dd></>
      ))}</dl></div>
    </Dialog>
  );
}

export function flipTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try { localStorage.setItem('theme', root.dataset.theme); } catch { /* storage switched off */ }
  dispatchEvent(new Event('themechange'));
}

function More({ close, here }) {
  return (
    <Dialog title={t('nav.more')} close={close}>
      <div class="body"><div class="side" style={{ position: 'static', height: 'auto' }} onClick={(e) => e.target.closest('a') && close()}><Nav here={here} /></div></div>
    </Dialog>
  );
}

function Frame({ me, onLogout, relabel }) {
  const route = useRoute();
  const [open, set] = useState('');
  const close = useCallback(() => set(''), []);
  const main = useRef();
  const here = route.parts[0] ?? '';
  useEffect(() => {
    const f = (e) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') { e.preventDefault(); set('search'); }
      // Out of a field, back to the keys of the page.
      if (e.key === 'Escape' && !document.querySelector('dialog[open]')) document.activeElement?.blur();
    };
    addEventListener('keydown', f);
    return () => removeEventListener('keydown', f);
  }, []);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) { first.current = false; return; }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [route.path]);
  useKeys({
    '/': () => set('search'), '?': () => set('help'), j: () => walkRows(1), k: () => walkRows(-1), d: flipTheme,
    ...Object.fromEntries(menu.flatMap(([, items]) => items.map(([name, , key]) => [`g ${key}`, () => go('/' + name)]))),
  });
  const other = language() === 'vi' ? 'en' : 'vi';
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current.focus(); }}>{t('skip')}</a>
      <div class="frame">
        <aside class="side" aria-label={t('nav.main')}>
          <a class="brand" href="#/"><img src="icon.svg" alt="" width="26" height="26" /><span>Headrace</span></a>
          <Nav here={here} />
          <div class="foot"><kbd>?</kbd> {t('help.keys')}</div>
        </aside>
        <div>
          <header class="top">
            <button type="button" class="find" onClick={() => set('search')} aria-haspopup="dialog">
              <Icon name="search" /><span><span class="sr">{t('search.label')}: </span>{t('search.placeholder')}</span><kbd aria-hidden="true">/</kbd>
            </button>
            <div class="tools">
              <button type="button" class="btn quiet" lang={other} onClick={() => relabel(other)} title={t('language.other')}>{other.toUpperCase()}</button>
              <button type="button" class="btn quiet icon" onClick={flipTheme} aria-label={t('theme.flip')} title={t('theme.flip')}><Icon name="theme" /></button>
              <span class="soft small wide">{me.name || me.user}</span>
              <button type="button" class="btn quiet icon" onClick={onLogout} aria-label={t('logout')} title={t('logout')}><Icon name="out" /></button>
            </div>
          </header>
          <main class="main" id="main" ref={main} tabIndex={-1}><Page route={route} me={me} /></main>
        </div>
      </div>
      <nav class="tabs" aria-label={t('nav.tabs')}>
        {[['', 'live'], ['meters', 'meter'], ['customers', 'person'], ['runs', 'run']].map(([name, icon]) => (
          <a key={name} href={'#/' + name} aria-current={here === name ? 'page' : undefined}><Icon name={icon} />{t('nav.' + name)}</a>
        ))}
        <button type="button" onClick={() => set('more')} aria-haspopup="dialog"><Icon name="more" />{t('nav.more')}</button>
      </nav>
      {open === 'search' && <Palette close={close} />}
      {open === 'help' && <Help close={close} />}
      {open === 'more' && <More close={close} here={here} />}
      <Toasts />
    </>
  );
}

function App() {
  const [me, set] = useState(undefined);
  const [, relabelled] = useState(0);
  const load = useCallback(() => get('/me').then(set, (error) => set(error.status === 401 ? null : { error })), []);
  useEffect(() => {
    whenLoggedOut(() => { hangUp(); set(null); });
    load();
  }, []);
  const relabel = async (l) => { await setLanguage(l); relabelled((n) => n + 1); };
  const logout = async () => {
    await post('/logout').catch(() => {});
    hangUp();
    set(null);
  };
  if (me === undefined) return <div class="before-script"><Waiting lines={6} /></div>;
  if (me === null) return <Login done={load} relabel={relabel} flipTheme={flipTheme} />;
  if (me.error) return <div class="before-script"><Failure error={me.error} retry={() => { set(undefined); load(); }} /></div>;
  return <Frame key={language()} me={me} onLogout={logout} relabel={relabel} />;
}

const root = document.getElementById('app');
const start = () => { root.textContent = ''; render(<App />, root); };
if (language() === 'vi') setLanguage('vi').then(start, start);
else start();
