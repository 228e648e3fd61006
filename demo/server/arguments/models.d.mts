/** What is named: something on this disk, or an address or id. */
type Named = { local: { directory: string; file: string }; source?: undefined } | { source: string; local?: undefined };

export const STUDENT_FILE: string;
export function resolveModel(model: string): Promise<Named>;
export function resolveStudent(student: string): Promise<Named>;
export function resolveTrained(file: string): Promise<Named>;
