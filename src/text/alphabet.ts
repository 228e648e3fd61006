// GPT-2's alphabet: each byte as one printable character. Printable Latin-1 stands for itself; the 68 other bytes, in
// order, for U+0100 on. All units lie below U+0144, so one unit is one character.

const CHARACTERS: readonly string[] = alphabet();
const BYTES: ReadonlyMap<number, number> = new Map(
  CHARACTERS.map((character, byte) => [character.charCodeAt(0), byte] as const),
);
const UTF8 = new TextEncoder();

/** The UTF-8 bytes of `text`, a character each. */
export const toAlphabet = (text: string): string => bytesToAlphabet(UTF8.encode(text));

/** Bytes, a character each. */
export function bytesToAlphabet(bytes: Uint8Array): string {
  let result = "";
  for (const byte of bytes) result += CHARACTERS[byte]!;
  return result;
}

/** The bytes that `text` stands for; null if a character is not in the alphabet. */
export function fromAlphabet(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const byte = BYTES.get(text.charCodeAt(index));
    if (byte === undefined) return null;
    bytes[index] = byte;
  }
  return bytes;
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

function alphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
