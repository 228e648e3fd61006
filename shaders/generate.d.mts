export function describe(
  name: string,
  code: string,
): {
  name: string;
  bindings: Record<string, { binding: number; type: string }>;
  params: { binding: number; size: number; fields: Record<string, { offset: number; type: string }> } | null;
  overrides: Record<string, number>;
  tiles: Record<string, number>;
  features: string[];
  code: string;
};
export function generate(): string;
export function table(): string;
