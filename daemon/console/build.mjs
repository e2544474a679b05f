// Makes the console's static files: node build.mjs OUT_DIR
// Bundles by esbuild; names carry a content hash, so that they may be cached for good.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
  console.error('usage: node build.mjs OUT_DIR');
  process.exit(2);
}
const stamp = join(out, 'index.html');

// Nothing to do when the output is newer than every source.
function newest(dir) {
  return Math.max(...readdirSync(dir, { withFileTypes: true }).map((e) =>
    e.isDirectory() ? newest(join(dir, e.name)) : statSync(join(dir, e.name)).mtimeMs));
}
const changed = Math.max(newest(join(here, 'src')), statSync(join(here, 'build.mjs')).mtimeMs,
  statSync(join(here, 'package-lock.json')).mtimeMs);
if (existsSync(stamp) && statSync(stamp).mtimeMs > changed) process.exit(0);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: { main: 'src/main.jsx', early: 'src/early.js', style: 'src/style.css', chart: 'src/chart.css' },
  outdir: resolve(out),
  bundle: true, splitting: true, format: 'esm', minify: true, target: ['es2022', 'chrome110', 'firefox115', 'safari16'],
  jsx: 'automatic', jsxImportSource: 'preact', entryNames: '[name]-[hash]', chunkNames: 'c-[name]-[hash]',
  metafile: true, legalComments: 'none', logLevel: 'warning',
});

// The daemon caches for good what has eight hexadecimal digits in its name: esbuild's own hashes,
// which are in base 32 and stand in the files that import each other, are rewritten.
const marks = new Map();
for (const file of Object.keys(result.metafile.outputs)) {
  const mark = /-([A-Z2-7]{8})\.(js|css)$/.exec(file)?.[1];
  if (mark) marks.set(mark, createHash('sha256').update(mark).digest('hex').slice(0, 8));
}
const renamed = (text) => text.replace(/\b[A-Z2-7]{8}(?=\.(?:js|css))/g, (m) => marks.get(m) ?? m);
for (const file of readdirSync(out)) {
  const text = readFileSync(join(out, file), 'utf8');
  rmSync(join(out, file));
  writeFileSync(join(out, renamed(file)), renamed(text));
}
result.metafile.outputs = JSON.parse(renamed(JSON.stringify(result.metafile.outputs)));

const names = {};
for (const [file, meta] of Object.entries(result.metafile.outputs))
  if (meta.entryPoint) names[basename(meta.entryPoint)] = basename(file);
let html = readFileSync(join(here, 'src/index.html'), 'utf8');
for (const [from, to] of Object.entries(names)) html = html.replaceAll(`"./${from}"`, `"./${to}"`);
html = html.replaceAll('%CHART_CSS%', `./${names['chart.css']}`);
writeFileSync(stamp, html);
cpSync(join(here, 'src/icon.svg'), join(out, 'icon.svg'));

// What a first visit loads: the page, its style, and main with everything it imports at once.
const outputs = result.metafile.outputs;
const eager = (file, seen = new Set()) => {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const i of outputs[file].imports) if (i.kind === 'import-statement') eager(i.path, seen);
  return seen;
};
const size = (file) => gzipSync(readFileSync(join(out, basename(file))), { level: 9 }).length;
const main = Object.keys(outputs).find((f) => outputs[f].entryPoint === 'src/main.jsx');
const first = [...eager(main), names['style.css'], names['early.js'], 'index.html'];
const firstBytes = first.reduce((n, f) => n + size(f), 0);
const sizes = { first: firstBytes };
for (const [file, meta] of Object.entries(outputs)) {
  if (!meta.entryPoint?.startsWith('src/pages/')) continue;
  const all = eager(file);
  for (const f of [...all]) // a chart fetches its library when it is shown
    for (const i of outputs[f].imports) if (i.kind === 'dynamic-import' && i.path.includes('uPlot')) all.add(i.path).add(names['chart.css']);
  const more = [...all].filter((f) => !first.includes(f));
  sizes[basename(meta.entryPoint, '.jsx')] = firstBytes + more.reduce((n, f) => n + size(f), 0);
}
for (const file of readdirSync(out)) // served as they are to browsers that take gzip
  writeFileSync(join(out, file + '.gz'), gzipSync(readFileSync(join(out, file)), { level: 9 }));
writeFileSync(join(out, 'sizes.json'), JSON.stringify(sizes, null, 1) + '\n');
const worst = Math.max(...Object.values(sizes));
console.error(`console: first page ${(firstBytes / 1024).toFixed(1)} KB gzip, largest page ${(worst / 1024).toFixed(1)} KB`);
if (firstBytes > 40 * 1024 || worst > 90 * 1024) {
  console.error('console: over the budget of 40 KB for the first page or 90 KB for any:', sizes);
  process.exit(1);
}
