// Before the first paint: theme and language as chosen last time.
try {
  const theme = localStorage.getItem('theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  const lang = localStorage.getItem('lang') || ((navigator.language || 'en').startsWith('vi') ? 'vi' : 'en');
  document.documentElement.lang = lang;
} catch {
  // Storage may be switched off; the defaults do.
}
