// The bare name's types do not cover the module file that works under Node.
declare module "wgsl_reflect/wgsl_reflect.module.js" {
  export function detectRaces(
    code: string,
    entry: string,
    grid: number[],
    groups: Record<number, Record<number, unknown>>,
  ): { races: unknown[]; errors: unknown[] };
}
