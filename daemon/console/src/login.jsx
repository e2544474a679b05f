import { useEffect, useRef, useState } from 'preact/hooks';
import { post } from './lib/api.js';
import { language, t } from './lib/i18n.js';
import { Icon } from './ui.jsx';

export function Login({ done, relabel, flipTheme }) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const user = useRef(), password = useRef();
  useEffect(() => { document.title = `${t('login.title')} · Headrace`; user.current.focus(); }, []);
  const submit = async (e) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setError('');
    try {
      await post('/login', { user: user.current.value.trim(), password: password.current.value, cookie: true });
      await done();
    } catch (x) {
      setError(x.code === 'offline' ? t('error.offline.what') : x.status === 401 ? t('login.wrong') : x.message);
      password.current.select();
    }
    setBusy(false);
  };
  const other = language() === 'vi' ? 'en' : 'vi';
  return (
    <main class="login">
      <div class="art">
        <div class="brand"><img src="icon.svg" alt="" width="34" height="34" />Headrace</div>
        <svg viewBox="0 0 600 300" preserveAspectRatio="none" aria-hidden="true">
          <path d="M0 120c100 0 100 50 200 50s100-50 200-50 100 50 200 50v130H0z" fill="#14566c" />
          <path d="M0 180c100 0 100 44 200 44s100-44 200-44 100 44 200 44v80H0z" fill="#1b6f88" />
          <path d="M0 240c100 0 100 30 200 30s100-30 200-30 100 30 200 30v40H0z" fill="#2589a3" />
        </svg>
        <div><h2>{t('login.motto')}</h2><p>{t('login.motto.more')}</p></div>
        <p class="small">&nbsp;</p>
      </div>
      <div class="panel-form">
        <form onSubmit={submit} aria-labelledby="login-title">
          <div><h1 id="login-title">{t('login.title')}</h1></div>
          <label class="field">{t('login.user')}<input ref={user} name="username" autocomplete="username" required autocapitalize="none" spellcheck={false} /></label>
          <label class="field">{t('login.password')}<input ref={password} name="password" type="password" autocomplete="current-password" required /></label>
          <div role="alert">{error && <div class="notice bad">{error}</div>}</div>
          <button class="btn primary" type="submit" disabled={busy} aria-busy={busy}>{t('login.go')}</button>
          <div class="tools">
            <button type="button" class="btn quiet" lang={other} onClick={() => relabel(other)}>{other === 'vi' ? 'Tiếng Việt' : 'English'}</button>
            <button type="button" class="btn quiet icon" onClick={flipTheme} aria-label={t('theme.flip')}><Icon name="theme" /></button>
          </div>
        </form>
      </div>
    </main>
  );
}
