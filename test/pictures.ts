// Pictures in the forms that a page has them in.
import { type Raster, rasterOf } from "../src/pictures/raster.ts";

const bytesOf = async (raster: Promise<Raster>): Promise<string> => {
  const { width, height, data } = await raster;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return `${width} × ${height} ${hash.slice(0, 8).join(" ")}`;
};

/** What comes of a picture as each form: want the same of all. */
async function forms(url: string): Promise<Record<string, string>> {
  const blob = await (await fetch(url)).blob();
  const bitmap = await createImageBitmap(blob);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d")!;
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const address = URL.createObjectURL(blob);
  return {
    url: await bytesOf(rasterOf(url)),
    blob: await bytesOf(rasterOf(blob)),
    bitmap: await bytesOf(rasterOf(bitmap)),
    image: await bytesOf(rasterOf(image)),
    address: await bytesOf(rasterOf(address)),
  };
}

/** The error of each. */
const refusals = (urls: readonly string[]): Promise<string[]> =>
  Promise.all(
    urls.map((url) =>
      rasterOf(url).then(
        () => "read",
        (error: Error) => `${error.name}: ${error.message}`,
      ),
    ),
  );

export const pictures = { forms, refusals };
