// Numbers and times as people read them. Times are UTC everywhere.

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Seconds of an interval such as 5m. */
export const seconds = (interval) => Number(interval.slice(0, -1)) * UNITS[interval.slice(-1)];

/** Seconds since 1970 of an RFC 3339 time. */
export const epoch = (text) => Date.parse(text) / 1000;

/** How many decimals a price of this size needs. */
export const decimals = (price) => (price > 0 ? Math.max(2, Math.min(8, 4 - Math.floor(Math.log10(price)))) : 2);

/** A price with as many decimals as its size needs. */
export function price(value, digits = decimals(Math.abs(value))) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });

/** A quantity: whole below a million, short above. */
export function amount(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e6) return short.format(value);
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 100 ? 3 : 0 });
}

export const whole = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });

/** A share as percent, never rounded up to 100. */
export function share(value) {
  if (value === null || value === undefined) return "–";
  return value >= 1 ? "100 %" : `${(Math.floor(value * 1000) / 10).toFixed(1)} %`;
}

/** A length of time in seconds. */
export function span(value) {
  const s = Math.abs(value);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return s % 3600 < 60 || s > 36000 ? `${Math.round(s / 3600)} h` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} days`;
}

const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });

/** A moment (seconds) as 20 Nov 14:31. */
export function moment(at, withSeconds = false) {
  const text = new Date(at * 1000).toISOString();
  return `${day.format(at * 1000)} ${text.slice(11, withSeconds ? 19 : 16)}`;
}

/** An element with text or children. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
