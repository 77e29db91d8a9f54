declare module "istanbul-lib-instrument" {
  export function createInstrumenter(options: { readonly esModules: boolean; readonly compact: boolean }): {
    instrumentSync(code: string, fileName: string): string;
  };
}
