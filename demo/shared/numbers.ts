// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (value: number): string => WHOLE.format(value);

/** Three significant digits, as far as they carry information: 0, 0.123, 4.56, 78.9, 1,234. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 100) return WHOLE.format(value);
  if (size < 0.0005) return "0";
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** A percentage, always with one decimal, so that columns line up. */
export const percent = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(1)} %` : "–");

/** Decimal units, as disks and download pages use them: 7.9 MB. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  let rest = value;
  while (rest >= 999.5 && power < units.length - 1) {
    rest /= 1000;
    power++;
  }
  return `${power === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(rest >= 10 ? 0 : 1)} ${units[power]}`;
}

export const rate = (tokensPerSecond: number): string => `${figure(tokensPerSecond)} tok/s`;

export const seconds = (milliseconds: number): string =>
  milliseconds < 950
    ? `${Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(milliseconds < 9950 ? 1 : 0)} s`;
