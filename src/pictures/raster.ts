// A picture as a page has it -> pixels.
import type { PictureSource } from "../api.ts";
import { InputError } from "../errors.ts";

/** [height, width] pixels of four bytes: red, green, blue and 255. */
export interface Raster {
  width: number;
  height: number;
  data: Uint8ClampedArray<ArrayBuffer>;
}

const WANT = "want a Blob, ImageBitmap, ImageData, { width, height, data } or a URL";

const wrong = (got: string, want: string, cause?: unknown): InputError =>
  new InputError(`image: got ${got}, ${want}.`, { code: "bad-prompt", ...(cause === undefined ? {} : { cause }) });

/** Throws InputError for what cannot be read. Transparent parts are on white. */
export async function rasterOf(source: PictureSource): Promise<Raster> {
  if (typeof source === "string") return rasterOf(await fetched(source));
  if (source instanceof Blob) return decoded(source);
  if (typeof ImageBitmap !== "undefined" && source instanceof ImageBitmap) return drawn(source);
  if (typeof source === "object" && source !== null && "data" in source) return copied(source);
  throw wrong(String(source), WANT);
}

async function fetched(url: string): Promise<Blob> {
  const inline = /^data:([^,;]*)(;base64)?,(.*)$/s.exec(url);
  if (inline) return new Blob([bytesOf(inline[3]!, inline[2] !== undefined)], { type: inline[1]! });
  if (!URL.canParse(url)) throw wrong(`"${url.slice(0, 80)}"`, "want an absolute URL or a data URL");
  const said = await fetch(url).catch((cause: unknown) => {
    throw wrong(url, "want a URL that this page may read: its server must allow it", cause);
  });
  if (!said.ok) throw wrong(`${url}: status ${said.status}`, "want a picture there");
  return said.blob();
}

function bytesOf(text: string, isBase64: boolean): Uint8Array<ArrayBuffer> {
  try {
    const binary = isBase64 ? atob(decodeURIComponent(text)) : unescape(text);
    return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  } catch (cause) {
    throw wrong("a data URL that is damaged", "want base64", cause);
  }
}

async function decoded(blob: Blob): Promise<Raster> {
  const bitmap = await createImageBitmap(blob).catch((cause: unknown) => {
    const kind = blob.type === "" ? "" : ` of type ${blob.type}`;
    throw wrong(
      `${blob.size} bytes${kind} that this browser cannot read as a picture`,
      "want a PNG, JPEG or WebP",
      cause,
    );
  });
  try {
    return drawn(bitmap);
  } finally {
    bitmap.close();
  }
}

function drawn(bitmap: ImageBitmap): Raster {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw wrong(`${width} × ${height} pixels`, "want a picture that a canvas holds");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data as Raster["data"] };
}

/** Pixels as they are, of three bytes or four. */
function copied({ width, height, data }: Exclude<PictureSource, string | Blob | ImageBitmap>): Raster {
  const pixels = width * height;
  const channels = data.length / pixels;
  if (!Number.isInteger(width) || !Number.isInteger(height) || pixels <= 0 || (channels !== 3 && channels !== 4))
    throw wrong(`${width} × ${height} pixels in ${data.length} bytes`, "want 3 or 4 bytes a pixel");
  const copy = new Uint8ClampedArray(4 * pixels).fill(255);
  for (let i = 0; i < pixels; i++) {
    const alpha = channels === 4 ? data[4 * i + 3]! / 255 : 1;
    for (let c = 0; c < 3; c++) copy[4 * i + c] = 255 + (data[channels * i + c]! - 255) * alpha;
  }
  return { width, height, data: copy };
}
