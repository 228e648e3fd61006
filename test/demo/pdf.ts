/** A font that is not embedded, in the encoding that the name says. */
const japanese = (encoding: string): string =>
  `<< /Type /Font /Subtype /Type0 /BaseFont /Ryumin-Light /Encoding /${encoding} /DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 /BaseFont /Ryumin-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 2 >> /FontDescriptor << /Type /FontDescriptor /FontName /Ryumin-Light /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 /Ascent 900 /Descent -200 /CapHeight 700 /StemV 80 >> >>] >>`;

/** One page with a text in an encoding of Japanese that pdf.js reads from a file of its own. */
export const japanesePdf = (): Buffer => fileOf(["BT /F1 12 Tf 72 720 Td <65E5672C> Tj ET"], japanese("UniJIS-UCS2-H"));

/** A PDF with a page for each text; a page with an empty one is as a scanner makes it. */
export const pdfOf = (pages: readonly string[]): Buffer =>
  fileOf(
    pages.map((text) => (text ? `BT /F1 12 Tf 72 720 Td (${text}) Tj ET` : "0 0 100 100 re f")),
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  );

function fileOf(contents: readonly string[], font: string): Buffer {
  const pageObjects = contents.map(
    (_, i) =>
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${5 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
  );
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Count ${contents.length} /Kids [${contents.map((_, i) => `${4 + 2 * i} 0 R`).join(" ")}] >>`,
    font,
    ...contents.flatMap((content, i) => [
      pageObjects[i]!,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    ]),
  ];
  let file = "%PDF-1.4\n";
  const offsets = objects.map((object, i) => {
    const offset = file.length;
    file += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  const size = objects.length + 1;
  return Buffer.from(
    `${file}xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`,
  );
}
