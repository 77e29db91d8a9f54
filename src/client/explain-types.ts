/** A request whose decision is explained. Absent members have harmless defaults. */
export interface DescribedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host?: string;
  readonly scheme?: "http" | "https";
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Envoy's peer. */
  readonly address?: string;
  /** `x5t#S256` of the client's certificate. */
  readonly certificate?: string;
  /** `context_extensions` of Envoy's configuration. */
  readonly extensions?: Readonly<Record<string, string>>;
  readonly key?: string;
  /** `authorization`, `x-api-key`, `cookie:NAME` or `query:NAME`. */
  readonly in?: string;
}

export interface Explanation {
  readonly verdict: "allow" | "deny";
  readonly reason: string;
  /** The client's status. 200 stands for the upstream's own status. */
  readonly status: number;
  readonly mode: "enforce" | "shadow";
  readonly route: string | null;
  readonly steps: readonly { readonly step: string; readonly observed: string; readonly outcome: string }[];
}
