import { useEffect, useRef, useState } from 'preact/hooks';
import { number, region, t } from './lib/i18n.js';

let library;
// uPlot and its style sheet come with the first chart.
function load() {
  library ||= Promise.all([import('uplot'), new Promise((ok) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = document.documentElement.dataset.chartCss;
    link.onload = link.onerror = ok;
    document.head.append(link);
  })]).then(([m]) => m.default);
  return library;
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/*
 * A load curve. times: seconds UTC; series: [{ label, values, colour, stepped }]; unit for axis and legend.
 * Estimated values are marked through `marks`: indices drawn as dots.
 */
export function Curve({ times, series, unit, marks = [], height = 300, label }) {
  const box = useRef();
  const [ready, set] = useState(false);
  useEffect(() => {
    let plot, gone = false, observer;
    const draw = (UPlot) => {
      if (gone) return;
      plot?.destroy();
      const grid = { stroke: colour('--line'), width: 1 };
      const axis = { stroke: colour('--faint'), grid, ticks: grid, font: '12px system-ui, sans-serif' };
      const stepped = UPlot.paths.stepped({ align: 1 });
      const marked = new Set(marks);
      plot = new UPlot({
        width: Math.max(240, box.current.clientWidth), height, padding: [12, 8, 0, 0],
        cursor: { drag: { x: true, y: false }, focus: { prox: 24 } },
        scales: { x: { time: true }, y: { range: (u, lo, hi) => [Math.min(0, lo ?? 0), (hi ?? 1) > 0 ? (hi ?? 1) * 1.06 : 1] } },
        axes: [{ ...axis, values: (u, ticks, i, space, step) => ticks.map((s) => new Intl.DateTimeFormat(region(), step >= 86400
          ? { day: 'numeric', month: 'short' } : new Date(s * 1e3).getHours() === 0 && new Date(s * 1e3).getMinutes() === 0
            ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' }).format(s * 1e3)) },
        { ...axis, size: 58, values: (u, ticks) => ticks.map((v) => number(v, 3)), label: unit, labelSize: 18, labelFont: '12px system-ui, sans-serif' }],
        series: [{ label: t('time'), value: (u, s) => (s == null ? '–' : new Intl.DateTimeFormat(region(), { dateStyle: 'medium', timeStyle: 'short' }).format(s * 1e3)) },
          ...series.map((s, i) => ({
            label: s.label, stroke: colour(s.colour || `--c${i + 1}`), width: 1.75, spanGaps: false,
            fill: i === 0 && series.length === 1 ? colour('--c1') + '1f' : undefined,
            paths: s.stepped ? stepped : undefined,
            points: { show: marked.size > 0 && i === 0, size: 5, filter: marked.size ? () => [...marked] : undefined },
            value: (u, v) => (v == null ? '–' : `${number(v, 3)} ${unit}`),
          }))],
      }, [times, ...series.map((s) => s.values)], box.current);
      set(true);
    };
    load().then((UPlot) => {
      if (gone) return;
      draw(UPlot);
      const again = () => draw(UPlot);
      addEventListener('themechange', again);
      observer = new ResizeObserver(() => box.current && plot?.setSize({ width: Math.max(240, box.current.clientWidth), height }));
      observer.observe(box.current);
      box.current.again = again;
    });
    const node = box.current;
    return () => { gone = true; observer?.disconnect(); removeEventListener('themechange', node.again); plot?.destroy(); };
  }, [times, series]);
  return <div class="chart" ref={box} role="img" aria-label={label} aria-busy={!ready} style={{ minHeight: `${height + 34}px` }} />;
}

// Stacked bars, one a day: days: [{ day, parts: [number...] }], names of the parts. Plain SVG.
export function DayBars({ days, names, unit, label, show }) {
  const box = useRef();
  const [W, setWidth] = useState(720);
  useEffect(() => {
    const fit = () => box.current && setWidth(Math.max(260, box.current.clientWidth));
    const observer = new ResizeObserver(fit);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const H = 200, left = 44, bottom = 22;
  const most = Math.max(1e-9, ...days.map((d) => d.parts.reduce((a, b) => a + (b || 0), 0)));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(most / 4))).find((s) => most / s <= 5) ?? most;
  const top = Math.ceil(most / step) * step;
  const y = (v) => (H - bottom) * (1 - v / top) + 4;
  const w = (W - left) / days.length;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  const every = Math.max(1, Math.ceil(days.length / ((W - left) / 64)));
  return (
    <figure ref={box}>
      <svg class="bars" viewBox={`0 0 ${W} ${H + 8}`} role="img" aria-label={label}>
        {ticks.map((v) => <g key={v}><line x1={left} x2={W} y1={y(v)} y2={y(v)} /><text x={left - 8} y={y(v) + 4} text-anchor="end">{number(v, 2)}</text></g>)}
        {days.map((d, i) => {
          let sum = 0;
          return (
            <g key={d.day}>
              <title>{`${show(d.day)}: ${d.parts.map((p, n) => p ? `${names[n]} ${number(p, 2)} ${unit}` : '').filter(Boolean).join(', ')}`}</title>
              {d.parts.map((p, n) => {
                if (!p) return null;
                const from = sum;
                sum += p;
                return <rect key={n} class={`k${n % 6 + 1}`} x={left + i * w + w * 0.12} width={w * 0.76} y={y(sum)} height={Math.max(0.5, y(from) - y(sum))} />;
              })}
              {i % every === 0 && <text x={left + i * w + w / 2} y={H + 4} text-anchor="middle">{show(d.day, true)}</text>}
            </g>
          );
        })}
      </svg>
      {names.length > 1 && <ul class="legend">{names.map((n, i) => <li key={n}><i class={`k${i % 6 + 1}`} />{n}</li>)}</ul>}
    </figure>
  );
}
