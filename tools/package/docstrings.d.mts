export interface Declaration {
  name: string;
  comment: string;
  code: string;
}
export function declarationsOf(text: string): Declaration[];
export function undocumented(declarations: readonly Declaration[]): string[];
