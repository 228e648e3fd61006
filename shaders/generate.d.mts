export function generate(): string;
export function table(): string;
