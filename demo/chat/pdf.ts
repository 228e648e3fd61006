// The text of a PDF, page by page. pdf.js is fetched with the first one; its worker comes from this origin.

import type { PDFDocumentProxy } from "pdfjs-dist";
import type { TextItem } from "pdfjs-dist/types/src/display/api.js";
import worker from "pdfjs-dist/build/pdf.worker.min.mjs?url";

const MOST_BYTES = 256 * 2 ** 20;
/** Of a longer file the first so many are read. */
const MOST_PAGES = 3000;

export interface PdfText {
  /** [pages read] */
  pages: string[];
  /** Pages of the file. */
  of: number;
}

/** Rejects where there is no text, with a sentence for the user; with the signal's reason on abort. */
export async function readPdf(
  file: File,
  { onPage, signal }: { onPage: (page: number, of: number) => void; signal: AbortSignal },
): Promise<PdfText> {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is larger than 256 MB.`);
  const { getDocument, VerbosityLevel } = await pdfjs();
  const task = getDocument({
    data: await file.arrayBuffer(),
    cMapUrl: new URL("cmaps/", document.baseURI).href,
    isEvalSupported: false, // the page's policy runs no text as code
    disableFontFace: true,
    useSystemFonts: true, // text only: no font is needed, and none is fetched
    verbosity: VerbosityLevel.ERRORS,
  });
  try {
    const pdf = await task.promise.catch((error: unknown) => {
      throw new Error(reasonOf(error, file.name));
    });
    return await readPages(pdf, file.name, { onPage, signal });
  } finally {
    await task.destroy();
  }
}

async function readPages(
  pdf: PDFDocumentProxy,
  name: string,
  { onPage, signal }: { onPage: (page: number, of: number) => void; signal: AbortSignal },
): Promise<PdfText> {
  const of = pdf.numPages;
  const pages: string[] = [];
  for (let number = 1; number <= Math.min(of, MOST_PAGES); number++) {
    signal.throwIfAborted();
    onPage(number, of);
    const page = await pdf.getPage(number);
    const { items } = await page.getTextContent();
    pages.push(textOf(items.filter((item): item is TextItem => "str" in item)));
    page.cleanup();
  }
  if (pages.every((text) => text === ""))
    throw new Error(
      `${name} has no text: its pages are pictures, as from a scanner. Have the text recognised (OCR) first.`,
    );
  return { pages, of };
}

const textOf = (items: readonly TextItem[]): string =>
  items
    .map(({ str, hasEOL }) => str + (hasEOL ? "\n" : ""))
    .join("")
    .replaceAll(/[ \t]+\n/g, "\n")
    .trim();

function reasonOf(error: unknown, name: string): string {
  const kind = error instanceof Error ? error.name : "";
  if (kind === "PasswordException") return `${name} is locked with a password. Save a copy without one.`;
  if (kind === "InvalidPDFException") return `${name} is no PDF, or a damaged one.`;
  return `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

async function pdfjs() {
  const library = await import("pdfjs-dist");
  library.GlobalWorkerOptions.workerSrc = worker;
  return library;
}
